"""Which voices there are in a fleet, and which models have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from antiphon.engines.base import VoiceInfo
from antiphon.engines.voice_names import NamedVoice
from antiphon.v1 import models_pb2
from antiphon.voices.channel import Connection


@dataclass(frozen=True, slots=True)
class Offer:
    """A voice. Some model of the fleet can speak it, or several: "pico" and "pico:en-GB" both have "pico:en-GB"."""

    info: VoiceInfo
    """Under its full name."""
    engine: str
    voice: str
    """Within its model."""
    models: tuple[str, ...]
    away: bool = False
    """All of these were unloaded, everywhere, and nobody has asked for them since."""

    @property
    def named(self) -> NamedVoice:
        return NamedVoice(self.engine, VoiceInfo(self.voice, self.info.language, self.info.repeatable))


def offers_of(connections: Sequence[Connection]) -> tuple[Offer, ...]:
    """The union over all workers, each worker's default model first, and last what was sent away. The very first is
    the default voice.
    """
    found: dict[str, Offer] = {}
    there = {model.name for connection in connections for model in connection.models if not is_away(model)}
    for connection in connections:
        default = connection.default_model
        for model in sorted(connection.models, key=lambda model: model.name != default):
            engine = model.name.partition(":")[0]
            for voice in model.voices:
                full = f"{engine}:{voice.name}"
                info = VoiceInfo(full, voice.language, voice.repeatable, takes_words=voice.takes_words)
                known = found.get(full)
                models = known.models if known is not None else ()
                if model.name not in models:
                    found[full] = Offer(info, engine, voice.name, (*models, model.name))
    offers = [replace(offer, away=there.isdisjoint(offer.models)) for offer in found.values()]
    return tuple(sorted(offers, key=lambda offer: offer.away))


def is_away(model: models_pb2.Model) -> bool:
    """Sent away, and gone or about to be."""
    return model.dismissed and model.state != models_pb2.MODEL_STATE_LOADING


@dataclass(frozen=True, slots=True)
class Choices:
    """Who may speak, best first."""

    wanted: tuple[Offer, ...]
    """The voice that was asked for, and those that may stand in for it at any time."""
    alike: tuple[Offer, ...]
    """Those that may go on in mid-reply, when none of the others can: any of the language."""
    if_resident: frozenset[str] = frozenset()
    """Models that were sent away, and have a successor."""
