from antiphon.v1 import models_pb2 as _models_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RecognizeRequest(_message.Message):
    __slots__ = ("start", "audio", "finalize")
    class Start(_message.Message):
        __slots__ = ("session", "model", "language")
        SESSION_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        LANGUAGE_FIELD_NUMBER: _ClassVar[int]
        session: str
        model: str
        language: str
        def __init__(self, session: _Optional[str] = ..., model: _Optional[str] = ..., language: _Optional[str] = ...) -> None: ...
    class Audio(_message.Message):
        __slots__ = ("pcm",)
        PCM_FIELD_NUMBER: _ClassVar[int]
        pcm: bytes
        def __init__(self, pcm: _Optional[bytes] = ...) -> None: ...
    class Finalize(_message.Message):
        __slots__ = ("revision",)
        REVISION_FIELD_NUMBER: _ClassVar[int]
        revision: int
        def __init__(self, revision: _Optional[int] = ...) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    FINALIZE_FIELD_NUMBER: _ClassVar[int]
    start: RecognizeRequest.Start
    audio: RecognizeRequest.Audio
    finalize: RecognizeRequest.Finalize
    def __init__(self, start: _Optional[_Union[RecognizeRequest.Start, _Mapping]] = ..., audio: _Optional[_Union[RecognizeRequest.Audio, _Mapping]] = ..., finalize: _Optional[_Union[RecognizeRequest.Finalize, _Mapping]] = ...) -> None: ...

class RecognizeResponse(_message.Message):
    __slots__ = ("partial", "final", "error")
    class Partial(_message.Message):
        __slots__ = ("text",)
        TEXT_FIELD_NUMBER: _ClassVar[int]
        text: str
        def __init__(self, text: _Optional[str] = ...) -> None: ...
    class Final(_message.Message):
        __slots__ = ("revision", "text", "words")
        REVISION_FIELD_NUMBER: _ClassVar[int]
        TEXT_FIELD_NUMBER: _ClassVar[int]
        WORDS_FIELD_NUMBER: _ClassVar[int]
        revision: int
        text: str
        words: _containers.RepeatedCompositeFieldContainer[HeardWord]
        def __init__(self, revision: _Optional[int] = ..., text: _Optional[str] = ..., words: _Optional[_Iterable[_Union[HeardWord, _Mapping]]] = ...) -> None: ...
    class Error(_message.Message):
        __slots__ = ("revision", "code", "message", "retryable")
        REVISION_FIELD_NUMBER: _ClassVar[int]
        CODE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        RETRYABLE_FIELD_NUMBER: _ClassVar[int]
        revision: int
        code: str
        message: str
        retryable: bool
        def __init__(self, revision: _Optional[int] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...
    PARTIAL_FIELD_NUMBER: _ClassVar[int]
    FINAL_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    partial: RecognizeResponse.Partial
    final: RecognizeResponse.Final
    error: RecognizeResponse.Error
    def __init__(self, partial: _Optional[_Union[RecognizeResponse.Partial, _Mapping]] = ..., final: _Optional[_Union[RecognizeResponse.Final, _Mapping]] = ..., error: _Optional[_Union[RecognizeResponse.Error, _Mapping]] = ...) -> None: ...

class HeardWord(_message.Message):
    __slots__ = ("text", "start_ms", "end_ms", "speaker")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    SPEAKER_FIELD_NUMBER: _ClassVar[int]
    text: str
    start_ms: int
    end_ms: int
    speaker: str
    def __init__(self, text: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ..., speaker: _Optional[str] = ...) -> None: ...
