"""The Recognizer service: one call is one turn of the user."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from typing import Any

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import Recognizer, RecognizerStream, Transcript
from antiphon.v1 import recognizer_pb2 as pb
from antiphon.v1.recognizer_pb2_grpc import RecognizerServicer
from antiphon.worker.host import Host, HostedService, end_tasks, last_write, told
from antiphon.worker.manager import ModelRefusedError
from antiphon.worker.outbox import Parcel
from antiphon.worker.refusals import UNLOADED, BadRequestError, Failure, StoppedError
from antiphon.worker.single import SingleWork

PARTIAL, FINAL = 0, 1
"""What the messages are, as segments of the outbox: a newer partial drops one that still waits."""

Message = pb.RecognizeResponse
Send = Callable[[Message], Awaitable[None]]


class RecognizerService(HostedService[Recognizer], RecognizerServicer):
    async def Recognize(self, request_iterator: AsyncIterator[pb.RecognizeRequest], context: Any) -> None:  # noqa: N802
        await self.serve(TurnStream(self._host), request_iterator, context)


class TurnStream(SingleWork[Message]):
    """Made for one call, used once."""

    def __init__(self, host: Host[Recognizer]) -> None:
        super().__init__(limit=64)
        self._host = host
        self._final: asyncio.Task[None] | None = None
        self._fed_bytes = 0
        self._lost = asyncio.Event()

    async def run(self, requests: AsyncIterator[pb.RecognizeRequest], send: Send) -> None:
        """Serves the call to its end. Raises BadRequestError and StoppedError."""
        writing = asyncio.create_task(self._write(send))
        hearing = asyncio.create_task(self._hear(requests))
        stopped = asyncio.create_task(self.stopping.wait())
        lost = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait([hearing, stopped, lost], return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                raise StoppedError("the turn was stopped")
            if hearing.done():
                hearing.result()
            self.outbox.finish()
            await writing
        except (BadRequestError, StoppedError):
            self.outbox.discard()
            await last_write(writing)
            raise
        finally:
            await end_tasks(hearing, writing, stopped, lost)

    async def _write(self, send: Send) -> None:
        while (parcel := await self.outbox.next()) is not None:
            await send(parcel.message)

    async def _hear(self, requests: AsyncIterator[pb.RecognizeRequest]) -> None:
        first = await anext(aiter(requests), None)
        if first is None:
            return
        if first.WhichOneof("message") != "start":
            raise BadRequestError("a turn begins with its start")
        start = first.start
        self.session = start.session
        try:
            lease = await self._host.lease(start.model, start.session, on_revoked=self._lose)
        except ModelRefusedError as error:
            self._fail(0, told(error, session=self.session, model=start.model))
            return
        try:
            with lease.using() as engine, closing(engine.open(self._tell_partial, start.language or None)) as stream:
                await self._feed(stream, requests)
        except BadRequestError:
            raise
        except Exception as error:
            self._fail(0, told(error, session=self.session, model=lease.model))
        finally:
            lease.end()

    async def _feed(self, stream: RecognizerStream, requests: AsyncIterator[pb.RecognizeRequest]) -> None:
        """Takes audio until the client closes its side, and then still gives the final that was asked for last."""
        try:
            async for request in requests:
                match request.WhichOneof("message"):
                    case "audio":
                        if len(request.audio.pcm) % 2:
                            raise BadRequestError("an odd number of bytes is no 16-bit audio")
                        self._fed_bytes += len(request.audio.pcm)
                        stream.feed(request.audio.pcm)
                    case "finalize":
                        await self._end_final(worthless=True)
                        self._final = asyncio.create_task(self._finalize(stream, request.finalize.revision))
                    case _:
                        raise BadRequestError("a turn has one start, audio and finalize")
            await self._end_final(worthless=False)
        finally:
            await self._end_final(worthless=True)

    async def _end_final(self, *, worthless: bool) -> None:
        """Waits for the final under way, which is cancelled if it is worth nothing any more."""
        if self._final is not None:
            if worthless:
                self._final.cancel()
            await asyncio.wait([self._final])
            self._final = None

    async def _finalize(self, stream: RecognizerStream, revision: int) -> None:
        loop = asyncio.get_running_loop()
        began_at, audio_s = loop.time(), self._fed_bytes / 2 / EAR_RATE_HZ
        try:
            transcript = await stream.final()
        except Exception as error:
            self._fail(revision, told(error, session=self.session))
            return
        self._host.meter.add(loop.time() - began_at, audio_s, loop.time())
        self.outbox.put(Parcel(Message(final=final_of(revision, transcript)), FINAL))

    def _tell_partial(self, text: str) -> None:
        self.outbox.drop(PARTIAL)
        self.outbox.put(Parcel(Message(partial=Message.Partial(text=text)), PARTIAL))

    def _fail(self, revision: int, failure: Failure) -> None:
        error = Message.Error(
            revision=revision, code=failure.code.name, message=failure.message, retryable=failure.retryable
        )
        self.outbox.put(Parcel(Message(error=error), FINAL))

    def _lose(self) -> None:
        """Somebody takes the model away: the turn is told, and ends."""
        self._fail(0, UNLOADED)
        self._lost.set()


def final_of(revision: int, transcript: Transcript) -> Message.Final:
    words = [
        pb.HeardWord(text=word.text, start_ms=word.start_ms, end_ms=word.end_ms, speaker=word.speaker or "")
        for word in transcript.words
    ]
    return Message.Final(revision=revision, text=transcript.text, words=words)
