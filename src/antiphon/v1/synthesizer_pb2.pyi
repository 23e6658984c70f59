from antiphon.v1 import models_pb2 as _models_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SynthesizeRequest(_message.Message):
    __slots__ = ("start", "text", "flush", "cancel", "credit", "pause", "resume")
    class Start(_message.Message):
        __slots__ = ("session", "segment", "model", "voice", "language", "speed", "skip_samples", "if_resident")
        SESSION_FIELD_NUMBER: _ClassVar[int]
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        VOICE_FIELD_NUMBER: _ClassVar[int]
        LANGUAGE_FIELD_NUMBER: _ClassVar[int]
        SPEED_FIELD_NUMBER: _ClassVar[int]
        SKIP_SAMPLES_FIELD_NUMBER: _ClassVar[int]
        IF_RESIDENT_FIELD_NUMBER: _ClassVar[int]
        session: str
        segment: int
        model: str
        voice: str
        language: str
        speed: float
        skip_samples: int
        if_resident: bool
        def __init__(self, session: _Optional[str] = ..., segment: _Optional[int] = ..., model: _Optional[str] = ..., voice: _Optional[str] = ..., language: _Optional[str] = ..., speed: _Optional[float] = ..., skip_samples: _Optional[int] = ..., if_resident: _Optional[bool] = ...) -> None: ...
    class Text(_message.Message):
        __slots__ = ("segment", "text")
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        TEXT_FIELD_NUMBER: _ClassVar[int]
        segment: int
        text: str
        def __init__(self, segment: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...
    class Flush(_message.Message):
        __slots__ = ("segment",)
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        segment: int
        def __init__(self, segment: _Optional[int] = ...) -> None: ...
    class Cancel(_message.Message):
        __slots__ = ("segment",)
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        segment: int
        def __init__(self, segment: _Optional[int] = ...) -> None: ...
    class Credit(_message.Message):
        __slots__ = ("frames",)
        FRAMES_FIELD_NUMBER: _ClassVar[int]
        frames: int
        def __init__(self, frames: _Optional[int] = ...) -> None: ...
    class Pause(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    class Resume(_message.Message):
        __slots__ = ()
        def __init__(self) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FLUSH_FIELD_NUMBER: _ClassVar[int]
    CANCEL_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    PAUSE_FIELD_NUMBER: _ClassVar[int]
    RESUME_FIELD_NUMBER: _ClassVar[int]
    start: SynthesizeRequest.Start
    text: SynthesizeRequest.Text
    flush: SynthesizeRequest.Flush
    cancel: SynthesizeRequest.Cancel
    credit: SynthesizeRequest.Credit
    pause: SynthesizeRequest.Pause
    resume: SynthesizeRequest.Resume
    def __init__(self, start: _Optional[_Union[SynthesizeRequest.Start, _Mapping]] = ..., text: _Optional[_Union[SynthesizeRequest.Text, _Mapping]] = ..., flush: _Optional[_Union[SynthesizeRequest.Flush, _Mapping]] = ..., cancel: _Optional[_Union[SynthesizeRequest.Cancel, _Mapping]] = ..., credit: _Optional[_Union[SynthesizeRequest.Credit, _Mapping]] = ..., pause: _Optional[_Union[SynthesizeRequest.Pause, _Mapping]] = ..., resume: _Optional[_Union[SynthesizeRequest.Resume, _Mapping]] = ...) -> None: ...

class SynthesizeResponse(_message.Message):
    __slots__ = ("audio", "cancelled", "error")
    class Audio(_message.Message):
        __slots__ = ("segment", "seq", "pcm", "words", "final", "samples")
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        SEQ_FIELD_NUMBER: _ClassVar[int]
        PCM_FIELD_NUMBER: _ClassVar[int]
        WORDS_FIELD_NUMBER: _ClassVar[int]
        FINAL_FIELD_NUMBER: _ClassVar[int]
        SAMPLES_FIELD_NUMBER: _ClassVar[int]
        segment: int
        seq: int
        pcm: bytes
        words: _containers.RepeatedCompositeFieldContainer[Word]
        final: bool
        samples: int
        def __init__(self, segment: _Optional[int] = ..., seq: _Optional[int] = ..., pcm: _Optional[bytes] = ..., words: _Optional[_Iterable[_Union[Word, _Mapping]]] = ..., final: _Optional[bool] = ..., samples: _Optional[int] = ...) -> None: ...
    class Cancelled(_message.Message):
        __slots__ = ("segment", "last_seq")
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        LAST_SEQ_FIELD_NUMBER: _ClassVar[int]
        segment: int
        last_seq: int
        def __init__(self, segment: _Optional[int] = ..., last_seq: _Optional[int] = ...) -> None: ...
    class Error(_message.Message):
        __slots__ = ("segment", "code", "message", "retryable")
        SEGMENT_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        RETRYABLE_FIELD_NUMBER: _ClassVar[int]
        segment: int
        code: str
        message: str
        retryable: bool
        def __init__(self, segment: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    audio: SynthesizeResponse.Audio
    cancelled: SynthesizeResponse.Cancelled
    error: SynthesizeResponse.Error
    def __init__(self, audio: _Optional[_Union[SynthesizeResponse.Audio, _Mapping]] = ..., cancelled: _Optional[_Union[SynthesizeResponse.Cancelled, _Mapping]] = ..., error: _Optional[_Union[SynthesizeResponse.Error, _Mapping]] = ...) -> None: ...

class Word(_message.Message):
    __slots__ = ("start_char", "end_char", "start_sample", "end_sample")
    START_CHAR_FIELD_NUMBER: _ClassVar[int]
    END_CHAR_FIELD_NUMBER: _ClassVar[int]
    START_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    END_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    start_char: int
    end_char: int
    start_sample: int
    end_sample: int
    def __init__(self, start_char: _Optional[int] = ..., end_char: _Optional[int] = ..., start_sample: _Optional[int] = ..., end_sample: _Optional[int] = ...) -> None: ...
