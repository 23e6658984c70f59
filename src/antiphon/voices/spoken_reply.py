"""The speaking of one reply by a fleet: its open segments, and the worker that speaks them now."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace

import structlog

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.fleet import BUSY_RETRY_S, Request
from antiphon.core.speech import AudioChunk, Word
from antiphon.errors import EngineError
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.voices.fleet import Fleet
from antiphon.voices.lease import Lease
from antiphon.voices.offers import Choices, Offer
from antiphon.voices.progress import SegmentProgress
from antiphon.voices.speech_stream import SpeechStream
from antiphon.voices.visit import Visit
from antiphon.voices.watcher import Handover
from antiphon.voices.worker_call import NOT_HERE, SENT_AWAY, LostError

log = structlog.get_logger(__name__)

OPEN_SEGMENTS = 2
"""One that is spoken, and one behind it, so that there is no gap between them where the text is given freely.

A session gives its next clause when the audio of the one before was taken (``session.voice_runs``), so that a change
of voice counts from there; of its replies one is open at a time, and what the speaker has ahead covers the gap.
"""

SAME_VOICE_S = 1.5
"""How long a reply waits for its own voice, when its worker was lost, before another one goes on."""

ANY_VOICE_S = 3.0
"""And how long for any, unless the fleet has more patience."""

LONGEST_CATCH_UP_S = 0.3
"""A slow voice that would need longer to come again to where it was goes on at a word instead."""

REFUSED_S = 0.1
"""How long a reply waits that everybody has refused twice, as while a model is unloaded; doubled at each refusal."""

MAX_LOSSES = 6
"""After so many workers in a row that were lost without a sample the reply fails."""


class SpokenReply:
    """One reply: its open segments, and the stream that speaks them now."""

    def __init__(self, fleet: Fleet, choices: Choices, speed: float, *, visit: Visit, word_by_word: bool) -> None:
        self._fleet = fleet
        self._choices = choices
        self._speed = speed
        self._visit = visit
        self._word_by_word = word_by_word
        self._offer = self._choices.wanted[0]
        self._model = ""
        """What speaks now, or spoke last."""
        self._stream: SpeechStream | None = None
        self._open: list[SegmentProgress] = []
        self._next_index = 0
        self._fed = False
        self._change = asyncio.Event()
        self._avoid: frozenset[str] = frozenset()
        self._sent_away = choices.if_resident
        """Models that somebody unloaded: they are not to be brought back by us."""
        self._sent_from: frozenset[str] = frozenset()
        """The instances where they were."""
        self._losses = 0
        self._lost_at: float | None = None
        self._lost_address = ""
        self._exactly = False
        self._asked_at: float | None = None
        self._pace = 1.0
        self._loop = asyncio.get_running_loop()

    # What is to be said.

    async def feed(self, text: AsyncIterator[str]) -> None:
        """Opens a segment for each piece, as soon as there is room."""
        try:
            async for piece in text:
                while len(self._open) >= OPEN_SEGMENTS:
                    self._change.clear()
                    await self._change.wait()
                self._add(piece)
        finally:
            self._fed = True
            self._change.set()

    def _add(self, piece: str) -> None:
        word_by_word = self._word_by_word and not self._offer.info.repeatable
        segment = SegmentProgress(piece, self._next_index, word_by_word=word_by_word, pace=self._pace)
        self._next_index += 1
        self._open.append(segment)
        if self._stream is not None:
            take, _ = segment.go_on(exactly=True)
            assert take is not None
            self._stream.open(segment, take)
        self._change.set()

    # What is said.

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        """Until all is said. Raises EngineError."""
        while self._open or not self._fed:
            if not self._open:
                self._change.clear()
                await self._change.wait()
                continue
            if self._stream is None:
                for chunk in await self._connect():
                    yield chunk
                continue
            try:
                response = await self._stream.read()
            except LostError as error:
                self._blame(self._stream.lease, refused=error.refused)
                self._lose(str(error))
                continue
            for chunk in self._take(response):
                yield chunk

    def _take(self, response: pb.SynthesizeResponse) -> list[AudioChunk]:
        """What a message of the worker gives the reader. Raises EngineError."""
        match response.WhichOneof("message"):
            case "audio":
                return self._take_audio(response.audio)
            case "cancelled":
                return self._take_cancelled(response.cancelled.segment)
            case "error":
                self._take_error(response.error)
        return []

    def _take_audio(self, audio: pb.SynthesizeResponse.Audio) -> list[AudioChunk]:
        stream = self._stream
        segment = stream.segment_of(audio.segment) if stream is not None else None
        if stream is None or segment is None:
            return []
        pcm = audio.pcm[: audio.samples * 2] if audio.samples else audio.pcm
        words = tuple(Word(w.start_char, w.end_char, w.start_sample, w.end_sample) for w in audio.words)
        chunk = segment.take(pcm, words, last=audio.final)
        if audio.pcm:
            self._heard(stream)
            stream.taken()
        if audio.final:
            stream.ended(audio.segment)
            self._finish(segment)
        return [chunk] if chunk is not None else []

    def _take_cancelled(self, number: int) -> list[AudioChunk]:
        """Somebody stopped it at the worker: what was received of it is all of it."""
        segment = self._stream.segment_of(number) if self._stream is not None else None
        if self._stream is None or segment is None:
            return []
        self._stream.ended(number)
        self._finish(segment)
        return [segment.stop()]

    def _take_error(self, error: pb.SynthesizeResponse.Error) -> None:
        if self._stream is None or self._stream.segment_of(error.segment) is None:
            return
        if error.code == SENT_AWAY:
            self._send_away(self._stream.lease)
        elif error.retryable or error.code == NOT_HERE:
            self._blame(self._stream.lease, refused=True)
        else:
            raise EngineError(error.message or error.code)
        self._lose(f"{error.code}: {error.message}")

    def _blame(self, lease: Lease, *, refused: bool) -> None:
        """``refused``: it is alive, and cannot do it."""
        if refused:
            self._avoid |= {lease.worker.instance}
        else:
            lease.connection.failed(lease.worker.instance)

    def _send_away(self, lease: Lease) -> None:
        self._sent_away |= {lease.model}
        self._sent_from |= {lease.worker.instance}
        self._fleet.spawn(lease.connection.ask())

    def _finish(self, segment: SegmentProgress) -> None:
        self._pace = segment.pace
        self._open.remove(segment)
        self._change.set()

    def _heard(self, stream: SpeechStream) -> None:
        """Audio has come: the loss, if there was one, is made good."""
        if self._asked_at is not None:
            stream.lease.connection.answered((self._loop.time() - self._asked_at) * 1000)
            self._asked_at = None
        self._losses = 0
        if self._lost_at is None:
            return
        gap_s, self._lost_at = self._loop.time() - self._lost_at, None
        address = stream.lease.worker.address
        handover = Handover("tts", self._lost_address, address, gap_s, self._exactly)
        log.info(
            "reply_handed_over",
            session=self._visit.session,
            from_address=handover.from_address,
            to_address=address,
            gap_ms=round(gap_s * 1000, 1),
            exact=self._exactly,
        )
        self._fleet.watcher.handed_over(handover)

    # Who says it.

    def _lose(self, reason: str) -> None:
        """The stream is of no more use. Raises EngineError when too many were."""
        stream, self._stream = self._stream, None
        assert stream is not None
        worker = stream.lease.worker
        log.warning("reply_lost_worker", session=self._visit.session, address=worker.address, reason=reason)
        self._fleet.spawn(stream.close())
        if self._lost_at is None and any(segment.begun for segment in self._open):
            self._lost_at, self._lost_address = self._loop.time(), worker.address
        self._losses += 1
        if self._losses >= MAX_LOSSES:
            raise EngineError(
                f"{self._losses} tts workers were lost in a row; the last: {reason}",
                retryable=True,
                retry_after_s=BUSY_RETRY_S,
            )

    async def _connect(self) -> list[AudioChunk]:
        """Finds a worker for what is open. Gives what has to be handed out before it goes on. Raises EngineError."""
        begun = any(segment.begun for segment in self._open)
        lease, offer = await self._place(begun)
        if lease.worker.instance in self._avoid and self._losses > 1:
            await asyncio.sleep(REFUSED_S * 2.0 ** (self._losses - 2))
        stream = SpeechStream(
            self._fleet,
            lease,
            self._visit.session,
            offer.voice,
            self._speed,
            if_resident=lease.model in self._sent_away,
        )
        self._exactly = offer.info.repeatable and lease.model == self._model and self._is_quick(lease)
        self._offer, self._model = offer, lease.model
        self._visit.served(lease)
        self._asked_at = self._loop.time()
        ready = []
        for segment in tuple(self._open):
            take, chunk = segment.go_on(exactly=self._exactly or not segment.begun)
            if chunk is not None:
                ready.append(chunk)
            if take is None:
                self._finish(segment)
            else:
                stream.open(segment, take)
        self._stream = stream
        return ready

    def _is_quick(self, lease: Lease) -> bool:
        received = max((segment.received_samples for segment in self._open), default=0)
        return received / MOUTH_RATE_HZ * lease.worker.rtf <= LONGEST_CATCH_UP_S

    async def _place(self, begun: bool) -> tuple[Lease, Offer]:
        """A worker with the voice, or with one that may stand in for it. A reply that has begun may wait a little for
        its own voice, and then goes on in any of its language.
        """
        if self._sent_away and (found := self._instead()) is not None:
            return found
        if not begun:
            return await self._acquire(self._choices.wanted, self._fleet.patience_s, begun)
        try:
            return await self._acquire((self._offer,), SAME_VOICE_S, begun)
        except EngineError:
            patience_s = max(ANY_VOICE_S, self._fleet.patience_s)
            return await self._acquire((*self._choices.wanted, *self._choices.alike), patience_s, begun)

    def _instead(self) -> tuple[Lease, Offer] | None:
        """At once: where the voice still is in memory, else another one. Where there is none it may come back."""
        everybody = (*self._choices.wanted, *self._choices.alike)
        for offers, avoid in (((self._offer,), self._sent_from), (everybody, self._avoid)):
            request, by_model = self._request(offers)
            lease = self._fleet.try_acquire(replace(request, avoid=avoid, if_resident=self._sent_away))
            if lease is not None:
                return lease, by_model[lease.model]
        self._sent_away = self._sent_from = frozenset()
        return None

    def _request(self, offers: tuple[Offer, ...]) -> tuple[Request, dict[str, Offer]]:
        """And which offer each of its models stands for."""
        by_model = {model: offer for offer in reversed(offers) for model in offer.models}
        models = tuple(dict.fromkeys(model for offer in offers for model in offer.models))
        return Request("tts", models, affinity=self._visit.address), by_model

    async def _acquire(self, offers: tuple[Offer, ...], patience_s: float, begun: bool) -> tuple[Lease, Offer]:
        request, by_model = self._request(offers)
        lease = await self._fleet.acquire_but(request, self._avoid, patience_s=patience_s, even_if_busy=begun)
        return lease, by_model[lease.model]

    def close(self) -> None:
        """Cancels what is open. The stream ends by itself, a moment later."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._fleet.spawn(stream.close())
        self._open.clear()
