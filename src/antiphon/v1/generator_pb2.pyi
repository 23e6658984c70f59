from antiphon.v1 import models_pb2 as _models_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("start", "append")
    class Start(_message.Message):
        __slots__ = ("session", "model", "messages", "tools", "tool_choice", "max_output_tokens", "transcribe", "only_read")
        SESSION_FIELD_NUMBER: _ClassVar[int]
        MODEL_FIELD_NUMBER: _ClassVar[int]
        MESSAGES_FIELD_NUMBER: _ClassVar[int]
        TOOLS_FIELD_NUMBER: _ClassVar[int]
        TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
        MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
        TRANSCRIBE_FIELD_NUMBER: _ClassVar[int]
        ONLY_READ_FIELD_NUMBER: _ClassVar[int]
        session: str
        model: str
        messages: _containers.RepeatedCompositeFieldContainer[Message]
        tools: _containers.RepeatedCompositeFieldContainer[Tool]
        tool_choice: str
        max_output_tokens: int
        transcribe: bool
        only_read: bool
        def __init__(self, session: _Optional[str] = ..., model: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ..., tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ..., tool_choice: _Optional[str] = ..., max_output_tokens: _Optional[int] = ..., transcribe: _Optional[bool] = ..., only_read: _Optional[bool] = ...) -> None: ...
    class Append(_message.Message):
        __slots__ = ("messages",)
        MESSAGES_FIELD_NUMBER: _ClassVar[int]
        messages: _containers.RepeatedCompositeFieldContainer[Message]
        def __init__(self, messages: _Optional[_Iterable[_Union[Message, _Mapping]]] = ...) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    APPEND_FIELD_NUMBER: _ClassVar[int]
    start: GenerateRequest.Start
    append: GenerateRequest.Append
    def __init__(self, start: _Optional[_Union[GenerateRequest.Start, _Mapping]] = ..., append: _Optional[_Union[GenerateRequest.Append, _Mapping]] = ...) -> None: ...

class Message(_message.Message):
    __slots__ = ("role", "text", "call_id", "name", "arguments", "images", "audio")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    AUDIO_FIELD_NUMBER: _ClassVar[int]
    role: str
    text: str
    call_id: str
    name: str
    arguments: str
    images: _containers.RepeatedScalarFieldContainer[str]
    audio: bytes
    def __init__(self, role: _Optional[str] = ..., text: _Optional[str] = ..., call_id: _Optional[str] = ..., name: _Optional[str] = ..., arguments: _Optional[str] = ..., images: _Optional[_Iterable[str]] = ..., audio: _Optional[bytes] = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("name", "description", "parameters")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    parameters: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., parameters: _Optional[str] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("text", "tool_call", "finish", "error")
    class TextDelta(_message.Message):
        __slots__ = ("text",)
        TEXT_FIELD_NUMBER: _ClassVar[int]
        text: str
        def __init__(self, text: _Optional[str] = ...) -> None: ...
    class ToolCallDelta(_message.Message):
        __slots__ = ("call_id", "name", "arguments")
        CALL_ID_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
        call_id: str
        name: str
        arguments: str
        def __init__(self, call_id: _Optional[str] = ..., name: _Optional[str] = ..., arguments: _Optional[str] = ...) -> None: ...
    class Finish(_message.Message):
        __slots__ = ("reason", "input_tokens", "output_tokens", "cached_tokens")
        REASON_FIELD_NUMBER: _ClassVar[int]
        INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
        OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
        CACHED_TOKENS_FIELD_NUMBER: _ClassVar[int]
        reason: str
        input_tokens: int
        output_tokens: int
        cached_tokens: int
        def __init__(self, reason: _Optional[str] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cached_tokens: _Optional[int] = ...) -> None: ...
    class Error(_message.Message):
        __slots__ = ("code", "message", "retryable")
        CODE_FIELD_NUMBER: _ClassVar[int]
        MESSAGE_FIELD_NUMBER: _ClassVar[int]
        RETRYABLE_FIELD_NUMBER: _ClassVar[int]
        code: str
        message: str
        retryable: bool
        def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_FIELD_NUMBER: _ClassVar[int]
    FINISH_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    text: GenerateResponse.TextDelta
    tool_call: GenerateResponse.ToolCallDelta
    finish: GenerateResponse.Finish
    error: GenerateResponse.Error
    def __init__(self, text: _Optional[_Union[GenerateResponse.TextDelta, _Mapping]] = ..., tool_call: _Optional[_Union[GenerateResponse.ToolCallDelta, _Mapping]] = ..., finish: _Optional[_Union[GenerateResponse.Finish, _Mapping]] = ..., error: _Optional[_Union[GenerateResponse.Error, _Mapping]] = ...) -> None: ...
