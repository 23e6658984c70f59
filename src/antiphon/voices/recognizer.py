"""The recognizers of a fleet as one. A turn whose worker dies is heard again by another, from its first sample."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.fleet import BUSY_RETRY_S, Request, base_language
from antiphon.engines.base import HeardWord, RecognizerStream, Transcript
from antiphon.errors import EngineError
from antiphon.v1 import recognizer_pb2 as pb
from antiphon.voices.fleet import Fleet
from antiphon.voices.stage_engine import StageEngine
from antiphon.voices.visit import Visit
from antiphon.voices.watcher import Handover
from antiphon.voices.worker_call import NOT_HERE, LostError, WorkerCall

log = structlog.get_logger(__name__)

KEPT_BYTES = 120 * EAR_RATE_HZ * 2
"""So much of a turn is kept for another worker: two minutes, 3.8 MB. A longer turn goes on, but its worker is the only
one that heard all of it."""

AUDIO_BYTES = 65536
"""What is kept is sent in pieces of so much: two seconds."""

GOODBYE_S = 0.5
"""How long a worker may take to close its side after us."""

MAX_LOSSES = 6
"""After so many workers in a row that were lost without an answer the turn fails."""

_Call = WorkerCall[pb.RecognizeRequest, pb.RecognizeResponse]


class FleetRecognizer(StageEngine):
    """The Recognizer over the workers of the stage ``asr``."""

    def of_session(self, session: str) -> FleetRecognizer:
        """The same for one conversation, which stays at one worker as long as it can."""
        return FleetRecognizer(self.fleet, self._models, visit=Visit(self.fleet, session))

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        """A language that no worker knows is left to whatever recognizes the turn."""
        wanted = base_language(language or "")
        known = any(not worker.languages or wanted in worker.languages for worker in self.fleet.workers)
        visit = self._visit or Visit(self.fleet, "")
        return FleetTurn(self.fleet, Request("asr", self._models, (language or "") if known else ""), on_partial, visit)


class FleetTurn:
    """The recognition of one turn."""

    def __init__(self, fleet: Fleet, request: Request, on_partial: Callable[[str], None], visit: Visit) -> None:
        self._fleet = fleet
        self._request = request
        self._tell = on_partial
        self._visit = visit
        self._pcm = bytearray()
        self._fed_bytes = 0
        self._revision = 0
        self._final: asyncio.Future[Transcript] | None = None
        self._call: _Call | None = None
        self._told = ""
        self._avoid: frozenset[str] = frozenset()
        self._losses = 0
        self._lost: tuple[float, str] | None = None
        """When and where, until another worker answers."""
        self._loop = asyncio.get_running_loop()
        self._running = fleet.spawn(self._run())

    # The user's side.

    def feed(self, pcm: bytes) -> None:
        self._fed_bytes += len(pcm)
        if self._fed_bytes <= KEPT_BYTES:
            self._pcm += pcm
        if self._call is not None:
            self._call.send(_audio(pcm))

    async def final(self) -> Transcript:
        self._revision += 1
        if self._final is not None:
            self._final.cancel()
        final: asyncio.Future[Transcript] = self._loop.create_future()
        self._final = final
        if self._call is not None:
            self._call.send(_finalize(self._revision))
        elif self._running.done():
            self._running = self._fleet.spawn(self._run())
        return await final

    def close(self) -> None:
        self._tell = _tell_nobody
        self._running.cancel()
        self._give_up()
        if self._final is not None:
            self._final.cancel()

    # The worker's side.

    async def _run(self) -> None:
        """Finds a worker, and another one when it is lost, until the turn is closed or nobody takes it."""
        try:
            while True:
                self._call = await self._connect()
                try:
                    while True:
                        self._take(await self._call.read())
                except LostError as error:
                    self._lose(error)
        except EngineError as error:
            self._give_up()
            self._fail(error)

    async def _connect(self) -> _Call:
        """Gives a worker all of the turn so far. Raises EngineError."""
        if self._fed_bytes > KEPT_BYTES:
            raise EngineError("the recognizer's worker was lost in a turn of more than two minutes", retryable=True)
        wanted = replace(self._request, affinity=self._visit.address)
        lease = await self._fleet.acquire_but(wanted, self._avoid, patience_s=self._fleet.patience_s)
        call: _Call = WorkerCall(self._fleet, lease, "Recognize")
        self._visit.served(lease)
        start = pb.RecognizeRequest.Start(
            session=self._visit.session, model=lease.model, language=self._request.language
        )
        call.send(pb.RecognizeRequest(start=start))
        for at in range(0, len(self._pcm), AUDIO_BYTES):
            call.send(_audio(bytes(self._pcm[at : at + AUDIO_BYTES])))
        if self._final is not None and not self._final.done():
            call.send(_finalize(self._revision))
        return call

    def _take(self, response: pb.RecognizeResponse) -> None:
        """Raises LostError for a worker that gives the turn up, and EngineError for a turn that nobody can hear."""
        match response.WhichOneof("message"):
            case "partial":
                self._answered()
                # One that hears the turn again begins with less than was told.
                if len(response.partial.text) >= len(self._told) or self._losses == 0:
                    self._told = response.partial.text
                    self._tell(response.partial.text)
            case "final":
                self._take_final(response.final)
            case "error":
                self._take_error(response.error)

    def _take_final(self, final: pb.RecognizeResponse.Final) -> None:
        self._answered()
        self._losses = 0
        if final.revision == self._revision and self._final is not None and not self._final.done():
            self._final.set_result(transcript_of(final))

    def _take_error(self, error: pb.RecognizeResponse.Error) -> None:
        if error.revision not in (0, self._revision):
            return
        if error.retryable or error.code == NOT_HERE:
            raise LostError(f"{error.code}: {error.message}", refused=True)
        told = EngineError(error.message or error.code)
        if error.revision == 0:
            raise told
        self._fail(told)

    def _answered(self) -> None:
        """The loss, if there was one, is made good."""
        if self._lost is None or self._call is None:
            return
        (lost_at, address), self._lost = self._lost, None
        handover = Handover("asr", address, self._call.lease.worker.address, self._loop.time() - lost_at, True)
        log.info("turn_handed_over", from_address=address, to_address=handover.to_address, gap_s=handover.gap_s)
        self._fleet.watcher.handed_over(handover)

    def _lose(self, error: LostError) -> None:
        """Raises EngineError when too many were lost."""
        assert self._call is not None
        lease = self._call.lease
        log.warning("turn_lost_worker", address=lease.worker.address, reason=str(error))
        if error.refused:
            self._avoid |= {lease.worker.instance}
        else:
            lease.connection.failed(lease.worker.instance)
        self._lost = self._lost or (self._loop.time(), lease.worker.address)
        self._give_up()
        self._losses += 1
        if self._losses >= MAX_LOSSES:
            raise EngineError(
                f"{self._losses} asr workers were lost in a row; the last: {error}",
                retryable=True,
                retry_after_s=BUSY_RETRY_S,
            )

    def _give_up(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            # A worker that has nothing to recognize closes its side at once. One that has may stop.
            waiting = self._final is not None and not self._final.done()
            self._fleet.spawn(call.close(0.0 if waiting else GOODBYE_S))

    def _fail(self, error: EngineError) -> None:
        """Tells who waits for the final. Where nobody does, the next final tries again."""
        if self._final is not None and not self._final.done():
            self._final.set_exception(error)


def transcript_of(final: pb.RecognizeResponse.Final) -> Transcript:
    words = (HeardWord(word.text, word.start_ms, word.end_ms, word.speaker or None) for word in final.words)
    return Transcript(final.text, tuple(words))


def _audio(pcm: bytes) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(audio=pb.RecognizeRequest.Audio(pcm=pcm))


def _finalize(revision: int) -> pb.RecognizeRequest:
    return pb.RecognizeRequest(finalize=pb.RecognizeRequest.Finalize(revision=revision))


def _tell_nobody(_text: str) -> None:
    pass
