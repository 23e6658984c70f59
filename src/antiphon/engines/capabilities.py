"""What an engine can do, for those who choose among engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from antiphon.engines.base import VoiceInfo


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The defaults are those of the embedded engines."""

    streaming: bool = True
    """The first audio, text or token leaves before the last is made."""
    zero_shot: bool = False
    """A voice can be cloned from reference audio."""
    lora: bool = False
    cpu: bool = True
    """It needs no accelerator."""
    languages: tuple[str, ...] = ()
    """BCP 47; none where it is not known or does not matter."""
    emotion: bool = False
    hears: bool = False
    """It takes what the user said as audio."""
    voices: tuple[VoiceInfo, ...] = ()


@runtime_checkable
class Capable(Protocol):
    """An engine that says itself what it can do."""

    @property
    def capabilities(self) -> Capabilities: ...


def capabilities_of(engine: Any) -> Capabilities:
    """What the engine says, or else what can be seen: the languages of its voices, and that it hears."""
    if isinstance(engine, Capable):
        return engine.capabilities
    voices: tuple[VoiceInfo, ...] = getattr(engine, "voices", ())
    languages = dict.fromkeys(voice.language for voice in voices)
    return Capabilities(languages=tuple(languages), voices=tuple(voices), hears=bool(getattr(engine, "hears", False)))
