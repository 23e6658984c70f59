"""The voices of a fleet as one synthesizer, which goes on elsewhere when a worker dies in mid-word."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager, suppress

import structlog

from antiphon.core.fleet import Request, base_language
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.voice_names import VoiceNames
from antiphon.errors import EngineError
from antiphon.v1 import models_pb2
from antiphon.voices.fleet import Fleet
from antiphon.voices.offers import Choices, Offer, offers_of
from antiphon.voices.readying import make_ready
from antiphon.voices.spoken_reply import SpokenReply
from antiphon.voices.succession import Succession
from antiphon.voices.visit import Visit

log = structlog.get_logger(__name__)


class FleetSynthesizer:
    """The Synthesizer over the workers of the stage ``tts``.

    Its voices have full names, "pico:en-US", and are those of all workers that were ever seen and are still announced.
    ``fallbacks`` may speak in place of a voice that nobody can speak; after them any voice of the language.
    ``word_by_word`` hands out the audio of voices that are not repeatable when the word is complete, which costs the
    first word's making and lets a reply go on elsewhere without saying a word twice.
    """

    def __init__(self, fleet: Fleet, *, fallbacks: Sequence[str] = (), word_by_word: bool = True) -> None:
        self.fleet = fleet
        self.word_by_word = word_by_word
        self._fallbacks = tuple(fallbacks)
        self._listed: tuple[tuple[models_pb2.Model, ...], ...] = ()
        self._offers: tuple[Offer, ...] = ()
        self._names: VoiceNames | None = None
        self.succession = Succession(self)

    @property
    def name(self) -> str:
        voices = self.voices
        return voices[0].name if voices else "fleet:tts"

    @property
    def description(self) -> str:
        count = len(self.fleet.connections)
        return f"{len(self.voices)} voices of {count} worker{'' if count == 1 else 's'}"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(offer.info for offer in self.offers)

    @property
    def offers(self) -> tuple[Offer, ...]:
        """The first is the default."""
        self._look()
        return self._offers

    def _look(self) -> None:
        """Puts the voices together again if a worker has told others than before."""
        listed = tuple(connection.models for connection in self.fleet.connections)
        if listed != self._listed:
            self._listed = listed
            self._offers = offers_of(self.fleet.connections)
            self._names = VoiceNames([offer.named for offer in self._offers]) if self._offers else None

    async def load(self) -> None:
        await self.fleet.start()
        self.fleet.spawn(self.succession.watch())
        if not self.offers:
            raise EngineError("the tts workers have no voices: see what they were started with", retryable=True)

    async def close(self) -> None:
        await self.fleet.close()

    def find(self, name: str) -> str | None:
        """The full name of the voice that is meant: "en-GB", "de", "espeak" and "marin" all mean one."""
        self._look()
        return self._names.find(name) if self._names is not None else None

    def successor(self, voice: str) -> str | None:
        """What speaks in place of a voice whose models were unloaded; None for one that is there."""
        return self.succession.successor(voice)

    def of_session(self, session: str) -> SessionVoice:
        """The same voices for one conversation, which stays at one worker as long as it can."""
        return SessionVoice(self, session)

    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        return self.of_session(uuid.uuid4().hex).speak(text, voice)

    async def prepare(self, voice: Voice) -> None:
        """Has a worker load and warm what speaks ``voice``, unless one has it in memory. Raises EngineError."""
        await make_ready(self.fleet, self.choices(voice.name).wanted[0].models, voice.name)

    def choices(self, voice: str) -> Choices:
        """Raises EngineError where there is no voice at all."""
        offers = {offer.info.name: offer for offer in self.offers}
        if self._names is None:
            raise EngineError(
                "no tts worker has a voice: see the log", retryable=True, retry_after_s=self.fleet.patience_s
            )
        meant = offers[self._names.resolve(voice)]
        language = base_language(meant.info.language)
        named = tuple(offers[name] for name in self._fallbacks if name in offers)
        alike = [offer for offer in offers.values() if base_language(offer.info.language) == language]
        appointed = self.succession.appointed(meant)
        if not appointed:
            return Choices((meant, *named), tuple(alike))
        alike.sort(key=lambda offer: appointed.isdisjoint(offer.models))
        successor = self.succession.best(meant, self.offers)
        if not meant.away or successor is None:
            return Choices((meant, *named), tuple(alike))
        return Choices((meant, successor, *named), tuple(alike), frozenset(meant.models))


class SessionVoice:
    """A Synthesizer for one conversation. The fleet behind it is loaded and closed by its owner."""

    def __init__(self, synthesizer: FleetSynthesizer, session: str) -> None:
        self.owner = synthesizer
        self.visit = Visit(synthesizer.fleet, session)

    @property
    def address(self) -> str | None:
        """The worker that speaks for it, or spoke last."""
        return self.visit.address

    @address.setter
    def address(self, address: str | None) -> None:
        self.visit.address = address

    @property
    def name(self) -> str:
        return self.owner.name

    @property
    def place(self) -> str | None:
        return self.owner.fleet.place_of(self.address)

    @property
    def description(self) -> str:
        return self.owner.description

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self.owner.voices

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    @contextmanager
    def attending(self, voice: str) -> Iterator[None]:
        """Within the block its conversation is known to the worker that speaks for it, at first with ``voice``."""
        with self.visit:
            self._announce(voice)
            yield

    async def prepare(self, voice: Voice) -> None:
        await self.owner.prepare(voice)
        self._announce(voice.name)

    def _announce(self, voice: str) -> None:
        with suppress(EngineError):  # there is no voice at all now: who wants to speak is told so
            models = self.owner.choices(voice).wanted[0].models
            self.visit.announce(Request("tts", models, affinity=self.visit.address))

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        choices = self.owner.choices(voice.name)
        reply = SpokenReply(
            self.owner.fleet,
            choices,
            voice.speed,
            visit=self.visit,
            word_by_word=self.owner.word_by_word,
        )
        feeder = asyncio.create_task(reply.feed(text))
        try:
            async with aclosing(reply.chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
            await feeder
        finally:
            feeder.cancel()
            reply.close()
            await asyncio.gather(feeder, return_exceptions=True)
