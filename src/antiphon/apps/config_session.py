"""What a session begins with: the section ``session`` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from antiphon.core.barge_in import BargeInPolicy
from antiphon.core.settings import Detection, TurnSettings

_TURN = TurnSettings()


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnDetection(Section):
    """Who decides that the user's turn is over, unless the client says otherwise."""

    type: Literal["server_vad", "semantic_vad", "manual"] = "server_vad"
    """A fixed silence, a silence whose length depends on the words, or the client's own commit."""
    threshold: float = Field(default=_TURN.threshold, ge=0, le=1)
    """The probability of speech from which a sound counts as speech."""
    prefix_padding_ms: int = Field(default=_TURN.prefix_padding_ms, ge=0, le=5_000)
    """How much audio before the speech belongs to the turn."""
    silence_duration_ms: int = Field(default=_TURN.silence_duration_ms, ge=0, le=10_000)
    """The silence that ends a turn, for `server_vad`."""
    idle_timeout_ms: int | None = Field(default=_TURN.idle_timeout_ms, ge=1_000, le=600_000)
    """After so much silence the agent speaks up by itself, for `server_vad`."""
    eagerness: Literal["low", "medium", "high", "auto"] = _TURN.eagerness
    """How soon to answer, for `semantic_vad`."""
    create_response: bool = _TURN.create_response
    """Answer at the end of each turn."""
    interrupt_response: bool = _TURN.interrupt_response
    """Let speech interrupt a reply."""
    prepare_after_ms: int = Field(default=_TURN.prepare_after_ms, ge=0, le=10_000)
    """How much of the end-of-turn silence must have passed before a reply is prepared."""


class Context(Section):
    """What the language model is given of a long conversation."""

    budget_tokens: int = Field(default=3000, ge=0, le=10_000_000)
    """About how many tokens of the conversation it is given; what is older stands in notes that it makes itself. The
    instructions and the functions come on top, and many local servers give a model no more than 4096 in all. 0 gives it
    everything."""


class SessionDefaults(Section):
    """What a session begins with. A client's own settings go before these."""

    voice: str | None = None
    """The voice that speaks, by its name or as `engine:voice`; the first that is offered when it is not set."""
    instructions: str = ""
    """What the language model is told to be."""
    turn_detection: TurnDetection = TurnDetection()
    barge_in: BargeInPolicy = BargeInPolicy()
    """What to do with a reply while the user makes a sound over it."""

    def turn_settings(self) -> TurnSettings:
        """The turn-taking of these defaults as the core reads it."""
        fields = self.turn_detection.model_dump(exclude={"type"})
        return TurnSettings(detection=Detection(self.turn_detection.type), barge_in=self.barge_in, **fields)
