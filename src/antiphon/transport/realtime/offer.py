"""What this server has for a client to choose from, and what a client means by the names that it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.core.settings import ListeningSettings, SpeechSettings, TurnSettings
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.fields import Json


@dataclass(frozen=True, slots=True)
class Offer:
    """What this server has for a client to choose from; the first of each is its default."""

    models: tuple[str, ...] = ("antiphon",)
    """The language models."""
    voices: tuple[str, ...] = ("default",)
    transcription_models: tuple[str, ...] = ("default",)
    other_models: tuple[str, ...] = ()
    """Those that serve requests without a conversation."""
    instructions: str = ""
    turn: TurnSettings = field(default_factory=TurnSettings)
    max_output_tokens: int | Literal["inf"] = "inf"
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    voice_called: Callable[[str], str | None] = lambda name: None
    """Which of the voices is meant by a name that is not among them, if any."""
    agents: Mapping[str, str | None] = field(default_factory=dict)
    """The server's agents, each with its voice where it has one of its own. The first serves whoever names none."""
    agent_models: Mapping[str, str] = field(default_factory=dict)
    """The language models of those agents that have one of their own."""

    def stage_of(self, model: str) -> str:
        """What a model does: ``llm``, ``asr`` or ``tts``."""
        return "llm" if model in self.models else "asr" if model in self.transcription_models else "tts"


def known(value: str | None, offered: tuple[str, ...]) -> str:
    return value if value in offered else offered[0]


def read_voice(value: Any, offer: Offer, param: str) -> str:
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str):
        raise fields.invalid(param, "a voice's name")
    return known(name if name in offer.voices else offer.voice_called(name), offer.voices)


def read_model(name: str, offer: Offer) -> str:
    """The language model of that name, also without its engine ("qwen3:8b"); empty where there is none such."""
    called = [model for model in offer.models if name in (model, model.partition(":")[2])]
    return called[0] if name and called else ""


def read_vendor_model(source: Json, current: str, offer: Offer, param: str) -> str:
    """What a client that knows this server chooses by ``antiphon.model``; an empty name is the default."""
    own = fields.mapping(source.get("antiphon") or {}, param)
    return read_model(fields.text_or(own, "model", "", f"{param}.model"), offer) if "model" in own else current


def read_agent(value: Any, offer: Offer) -> str | None:
    """Of our own fields the agent; None where the client names none."""
    source = fields.mapping(value or {}, "session.antiphon")
    if source.get("agent") is None:
        return None
    name = fields.text(source, "agent", "session.antiphon.agent")
    if name not in offer.agents:
        there_are = f"one of {', '.join(offer.agents)}" if offer.agents else "nothing: this server has no agents"
        raise fields.invalid("session.antiphon.agent", there_are)
    return name
