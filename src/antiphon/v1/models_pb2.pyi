from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_ABSENT: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_RESIDENT: _ClassVar[ModelState]
    MODEL_STATE_UNLOADING: _ClassVar[ModelState]
    MODEL_STATE_FAILED: _ClassVar[ModelState]
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_ABSENT: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_RESIDENT: ModelState
MODEL_STATE_UNLOADING: ModelState
MODEL_STATE_FAILED: ModelState

class StartSessionRequest(_message.Message):
    __slots__ = ("session", "model")
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    session: str
    model: str
    def __init__(self, session: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class StartSessionResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class EndSessionRequest(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: str
    def __init__(self, session: _Optional[str] = ...) -> None: ...

class EndSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "state", "error", "leases", "idle_s", "load_s", "preload", "voices", "dismissed")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    IDLE_S_FIELD_NUMBER: _ClassVar[int]
    LOAD_S_FIELD_NUMBER: _ClassVar[int]
    PRELOAD_FIELD_NUMBER: _ClassVar[int]
    VOICES_FIELD_NUMBER: _ClassVar[int]
    DISMISSED_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: ModelState
    error: str
    leases: int
    idle_s: float
    load_s: float
    preload: bool
    voices: _containers.RepeatedCompositeFieldContainer[VoiceInfo]
    dismissed: bool
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[ModelState, str]] = ..., error: _Optional[str] = ..., leases: _Optional[int] = ..., idle_s: _Optional[float] = ..., load_s: _Optional[float] = ..., preload: _Optional[bool] = ..., voices: _Optional[_Iterable[_Union[VoiceInfo, _Mapping]]] = ..., dismissed: _Optional[bool] = ...) -> None: ...

class VoiceInfo(_message.Message):
    __slots__ = ("name", "language", "repeatable", "takes_words")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    REPEATABLE_FIELD_NUMBER: _ClassVar[int]
    TAKES_WORDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    language: str
    repeatable: bool
    takes_words: bool
    def __init__(self, name: _Optional[str] = ..., language: _Optional[str] = ..., repeatable: _Optional[bool] = ..., takes_words: _Optional[bool] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class LoadModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class LoadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class UnloadModelRequest(_message.Message):
    __slots__ = ("model", "force")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    model: str
    force: bool
    def __init__(self, model: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class UnloadModelResponse(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Model
    def __init__(self, model: _Optional[_Union[Model, _Mapping]] = ...) -> None: ...

class GetCapabilitiesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCapabilitiesResponse(_message.Message):
    __slots__ = ("stage", "worker", "streaming", "zero_shot", "lora", "cpu", "languages", "emotion", "max_concurrent", "resident", "models", "rtf", "active", "queued", "default_model", "sessions", "hears", "hearing")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    STREAMING_FIELD_NUMBER: _ClassVar[int]
    ZERO_SHOT_FIELD_NUMBER: _ClassVar[int]
    LORA_FIELD_NUMBER: _ClassVar[int]
    CPU_FIELD_NUMBER: _ClassVar[int]
    LANGUAGES_FIELD_NUMBER: _ClassVar[int]
    EMOTION_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    RESIDENT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    RTF_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_MODEL_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    HEARS_FIELD_NUMBER: _ClassVar[int]
    HEARING_FIELD_NUMBER: _ClassVar[int]
    stage: str
    worker: str
    streaming: bool
    zero_shot: bool
    lora: bool
    cpu: bool
    languages: _containers.RepeatedScalarFieldContainer[str]
    emotion: bool
    max_concurrent: int
    resident: _containers.RepeatedScalarFieldContainer[str]
    models: _containers.RepeatedScalarFieldContainer[str]
    rtf: float
    active: int
    queued: int
    default_model: str
    sessions: int
    hears: bool
    hearing: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, stage: _Optional[str] = ..., worker: _Optional[str] = ..., streaming: _Optional[bool] = ..., zero_shot: _Optional[bool] = ..., lora: _Optional[bool] = ..., cpu: _Optional[bool] = ..., languages: _Optional[_Iterable[str]] = ..., emotion: _Optional[bool] = ..., max_concurrent: _Optional[int] = ..., resident: _Optional[_Iterable[str]] = ..., models: _Optional[_Iterable[str]] = ..., rtf: _Optional[float] = ..., active: _Optional[int] = ..., queued: _Optional[int] = ..., default_model: _Optional[str] = ..., sessions: _Optional[int] = ..., hears: _Optional[bool] = ..., hearing: _Optional[_Iterable[str]] = ...) -> None: ...

class ControlRequest(_message.Message):
    __slots__ = ("verb", "session", "model")
    class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        VERB_UNSPECIFIED: _ClassVar[ControlRequest.Verb]
        PAUSE: _ClassVar[ControlRequest.Verb]
        RESUME: _ClassVar[ControlRequest.Verb]
        STOP: _ClassVar[ControlRequest.Verb]
        RELOAD: _ClassVar[ControlRequest.Verb]
    VERB_UNSPECIFIED: ControlRequest.Verb
    PAUSE: ControlRequest.Verb
    RESUME: ControlRequest.Verb
    STOP: ControlRequest.Verb
    RELOAD: ControlRequest.Verb
    VERB_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    verb: ControlRequest.Verb
    session: str
    model: str
    def __init__(self, verb: _Optional[_Union[ControlRequest.Verb, str]] = ..., session: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class ControlResponse(_message.Message):
    __slots__ = ("segments",)
    SEGMENTS_FIELD_NUMBER: _ClassVar[int]
    segments: int
    def __init__(self, segments: _Optional[int] = ...) -> None: ...
