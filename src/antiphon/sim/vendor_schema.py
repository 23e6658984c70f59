"""The strict form of the events of our own, as ``docs/EVENTS.md`` promises them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from antiphon.core.actions import State

_Ms = Annotated[float, Field(ge=-3_600_000, le=3_600_000)]
_Zero = Annotated[float, Field(ge=0, le=0)]
_Text = Annotated[str, Field(min_length=1)]
_Count = Annotated[int, Field(ge=0)]
_Stage = Literal["asr", "llm", "tts"]


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    event_id: _Text


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _State(_Event):
    type: Literal["antiphon.state"]
    state: Literal[tuple(state.value for state in State)]  # type: ignore[valid-type]


class _Speaker(_Event):
    type: Literal["antiphon.speaker"]
    item_id: _Text
    speaker: _Text


class _Brain(_Event):
    type: Literal["antiphon.brain"]
    response_id: _Text
    model: _Text


class _Voice(_Event):
    type: Literal["antiphon.voice"]
    response_id: _Text
    item_id: _Text
    voice: _Text


class _Clause(_Event):
    type: Literal["antiphon.clause"]
    response_id: _Text
    item_id: _Text
    text: _Text


class _Thought(_Event):
    type: Literal["antiphon.thought"]
    text: _Text


class _TurnMarks(_Shape):
    speech_end: _Zero
    turn_ended: _Ms
    recognizer_final: _Ms | None = None
    brain_started: _Ms
    brain_first_token: _Ms
    first_clause: _Ms
    voice_started: _Ms
    voice_first_audio: _Ms
    first_sample: _Ms
    first_sound: _Ms

    @model_validator(mode="after")
    def _in_order(self) -> _TurnMarks:
        order = [
            self.brain_started,
            self.brain_first_token,
            self.first_clause,
            self.voice_started,
            self.voice_first_audio,
            self.first_sample,
            self.first_sound,
        ]
        if order != sorted(order) or self.turn_ended > self.first_sample or self.turn_ended < 0:
            raise ValueError("the marks are out of order")
        return self


class _TurnFigures(_Shape):
    end_of_turn_ms: _Ms
    recognizer_ms: _Ms
    brain_ms: _Ms
    voice_ms: _Ms
    server_ms: _Ms
    response_ms: _Ms

    @model_validator(mode="after")
    def _add_up(self) -> _TurnFigures:
        parts = self.end_of_turn_ms + self.recognizer_ms + self.brain_ms + self.voice_ms + self.server_ms
        if abs(parts - self.response_ms) > 0.01:
            raise ValueError(f"the parts add up to {parts:.3f} ms")
        return self


class _Balance(_Shape):
    won_ms: Annotated[float, Field(ge=0)]
    thrown_away: _Count
    wasted_tokens: _Count
    wasted_brain_ms: Annotated[float, Field(ge=0)]
    wasted_voice_ms: Annotated[float, Field(ge=0)]
    wasted_audio_ms: Annotated[float, Field(ge=0)]


class _WorkAhead(_Balance):
    session: _Balance

    @model_validator(mode="after")
    def _part_of_the_session(self) -> _WorkAhead:
        mine, total = self.model_dump(exclude={"session"}), self.session.model_dump()
        if any(total[name] < value - 0.01 for name, value in mine.items()):
            raise ValueError("the session has less than this turn")
        return self


class _Turn(_Event):
    type: Literal["antiphon.turn"]
    item_id: _Text
    response_id: _Text
    ahead: bool
    marks: _TurnMarks
    figures: _TurnFigures
    served_by: dict[_Stage, _Text | None] = Field(min_length=3)
    work_ahead: _WorkAhead

    @model_validator(mode="after")
    def _same_end(self) -> _Turn:
        if self.figures.response_ms != self.marks.first_sound:
            raise ValueError("the response time is not that of the first sound")
        return self


class _BargeInMarks(_Shape):
    onset: _Zero
    edge: _Ms
    paused: _Ms
    decided: _Ms

    @model_validator(mode="after")
    def _in_order(self) -> _BargeInMarks:
        if not 0 <= self.edge <= self.paused <= self.decided:
            raise ValueError("the marks are out of order")
        return self


class _BargeIn(_Event):
    type: Literal["antiphon.barge_in"]
    response_id: _Text
    outcome: Literal["cut", "resumed", "ended"]
    words: str
    marks: _BargeInMarks


class _Agent(_Event):
    type: Literal["antiphon.agent"]
    agent: _Text
    voice: _Text


class _Tool(_Event):
    type: Literal["antiphon.tool"]
    call_id: _Text
    name: _Text
    status: Literal["running", "progress", "completed", "failed", "cancelled"]
    text: _Text | None = None


class _Worker(_Shape):
    name: _Text
    stage: _Stage
    state: _Text
    active: Annotated[int, Field(ge=0)]
    sessions: int | None = None
    pid: int | None = None
    restarts: int | None = None
    last_exit: str | None = None
    error: str | None = None
    spare_pid: int | None = None
    models: dict[str, Literal["absent", "loading", "resident", "unloading", "failed", "unknown"]]


class _Fleet(_Event):
    type: Literal["antiphon.fleet"]
    status: Literal["ok", "degraded", "starting", "stopping"]
    missing: list[_Stage]
    workers: list[_Worker]


class _Record(_Event):
    type: Literal["antiphon.record"]
    session_id: _Text
    url: Annotated[str, Field(pattern=r"^/v1/realtime/sessions/sess_\w+/record\?token=[\w-]{20,}$")]
    kept_s: Annotated[float, Field(gt=0)]


class _Conversation(_Event):
    type: Literal["antiphon.conversation"]
    conversation_id: Annotated[str, Field(pattern=r"^conv_\w+$")]
    items: Annotated[int, Field(ge=0)]


class _Resumable(_Event):
    type: Literal["antiphon.resumable"]
    session_id: _Text
    token: Annotated[str, Field(min_length=20)]
    waits_s: Annotated[float, Field(gt=0)]


class _Resumed(_Event):
    type: Literal["antiphon.resumed"]
    session: dict[str, Any]
    missed: Annotated[int, Field(ge=0)]


_MODELS: dict[str, TypeAdapter[Any]] = {
    get_args(model.model_fields["type"].annotation)[0]: TypeAdapter(model)
    for model in (
        _State,
        _Speaker,
        _Brain,
        _Voice,
        _Clause,
        _Thought,
        _Turn,
        _BargeIn,
        _Agent,
        _Tool,
        _Fleet,
        _Record,
        _Conversation,
        _Resumable,
        _Resumed,
    )
}


def vendor_model(kind: str) -> TypeAdapter[Any] | None:
    """The model of an event of our own; None when there is no such event."""
    return _MODELS.get(kind)
