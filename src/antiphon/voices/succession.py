"""What speaks in place of a voice whose model somebody sends away, and the conversations that are told so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from antiphon.core.fleet import base_language
from antiphon.voices.offers import Offer

if TYPE_CHECKING:
    from antiphon.voices.synthesizer import FleetSynthesizer

Move = Callable[[Callable[[str], str | None]], None]
"""Asks of the voice of each conversation which one it changes to; None where it stays."""


class Succession:
    """Belongs to one synthesizer. ``move`` is set by whoever knows the conversations."""

    def __init__(self, synthesizer: FleetSynthesizer) -> None:
        self.move: Move = _nobody
        self._synthesizer = synthesizer
        self._successors: dict[str, str] = {}
        """By the model that went."""

    def appoint(self, old: str, new: str) -> None:
        """The voices of ``new`` go before all others in place of those of ``old``."""
        self._successors[old] = new
        self._successors.pop(new, None)

    @property
    def appointments(self) -> Mapping[str, str]:
        """The model that was appointed, by the one that went."""
        return self._successors

    def appointed(self, voice: Offer) -> frozenset[str]:
        """The models that were appointed for those of a voice."""
        return frozenset(self._successors[model] for model in voice.models if model in self._successors)

    def leave(self, model: str) -> None:
        """It is about to be unloaded everywhere: conversations that speak with it alone are moved."""
        self.move(lambda voice: self.successor(voice, frozenset({model})))

    def successor(self, voice: str, leaving: frozenset[str] = frozenset()) -> str | None:
        """The voice to change to; None where ``voice`` can stay, or there is none that could."""
        offers = self._synthesizer.offers
        meant = next((offer for offer in offers if offer.info.name == voice), None)
        if meant is None or not (meant.away or leaving.issuperset(meant.models)):
            return None
        found = self.best(meant, [offer for offer in offers if not leaving.issuperset(offer.models)])
        return found.info.name if found is not None else None

    def best(self, voice: Offer, offers: Sequence[Offer]) -> Offer | None:
        """Of those that are there: a model's that was appointed, and its own first; then the language, then memory."""
        appointed, language = self.appointed(voice), voice.info.language
        connections = self._synthesizer.fleet.connections
        resident = {model for connection in connections for model in connection.worker.resident}

        def distance(offer: Offer) -> tuple[bool, ...]:
            return (
                appointed.isdisjoint(offer.models),
                base_language(offer.info.language) != base_language(language),
                resident.isdisjoint(offer.models),
                not appointed and offer.info.language != language,
            )

        others = [offer for offer in offers if not offer.away and offer.info.name != voice.info.name]
        return min(others, key=distance, default=None)

    async def watch(self) -> None:
        """Moves conversations also where a model was unloaded by others than this server. Runs until cancelled."""
        before: frozenset[str] = frozenset()
        while True:
            away = frozenset(offer.info.name for offer in self._synthesizer.offers if offer.away)
            if newly := away - before:
                self.move(lambda voice, gone=newly: self.successor(voice) if voice in gone else None)  # type: ignore[misc]
            before = away
            await self._synthesizer.fleet.changed()


def _nobody(_successor: Callable[[str], str | None]) -> None:
    """There are no conversations."""
