"""One ``Synthesize`` call, as its client has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc

from antiphon.errors import AntiphonError
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.voices.fleet import Fleet, Lease
from antiphon.voices.progress import SegmentProgress, Take

CREDIT_FRAMES = 25
"""How far a worker may run ahead of a reader that has stopped: half a second."""

RETURN_FRAMES = 5
"""Credit goes back in bundles of so many, which saves four messages of five."""

GOODBYE_S = 0.5
"""How long a worker may take to say that it has cancelled what was open."""


class LostError(AntiphonError):
    """The worker is gone, or refuses the call. ``refused``: it is alive, and busy or unable."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


_REFUSALS = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
)


class SpeechStream:
    """The segments of one reply at one worker. It holds the lease until ``close`` is over."""

    def __init__(self, fleet: Fleet, lease: Lease, session: str, voice: str, speed: float) -> None:
        self.lease = lease
        self._session = session
        self._voice = voice
        self._speed = speed
        self._outgoing: asyncio.Queue[pb.SynthesizeRequest | None] = asyncio.Queue()
        self._incoming: asyncio.Queue[pb.SynthesizeResponse | LostError] = asyncio.Queue()
        """No more than the credit allows."""
        self._numbers: dict[int, SegmentProgress] = {}
        """The open segments by their numbers in this stream."""
        self._next_number = 0
        self._unreturned = 0
        self._silenced = False
        lease.__enter__()
        self._call = lease.connection.stub.Synthesize(self._requests())
        lease.watch(self)
        self._receiving = fleet.spawn(self._receive())
        self._send(pb.SynthesizeRequest(credit=pb.SynthesizeRequest.Credit(frames=CREDIT_FRAMES)))

    async def _requests(self) -> AsyncIterator[pb.SynthesizeRequest]:
        while (request := await self._outgoing.get()) is not None:
            yield request

    def _send(self, request: pb.SynthesizeRequest) -> None:
        self._outgoing.put_nowait(request)

    def open(self, segment: SegmentProgress, take: Take) -> None:
        """Asks for a take of a segment, after those that are open."""
        number, self._next_number = self._next_number, self._next_number + 1
        self._numbers[number] = segment
        start = pb.SynthesizeRequest.Start(
            session=self._session,
            segment=number,
            model=self.lease.model,
            voice=self._voice,
            speed=self._speed,
            skip_samples=take.skip_samples,
        )
        self._send(pb.SynthesizeRequest(start=start))
        self._send(pb.SynthesizeRequest(text=pb.SynthesizeRequest.Text(segment=number, text=take.text)))
        self._send(pb.SynthesizeRequest(flush=pb.SynthesizeRequest.Flush(segment=number)))

    async def _receive(self) -> None:
        """Reads the call to its end, in a task of its own: a read that is cancelled would take the call with it."""
        reason = LostError("the call was given up")
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                self._incoming.put_nowait(response)
            reason = _lost(await self._call.code(), await self._call.details())
        except grpc.aio.AioRpcError as error:
            reason = _lost(error.code(), error.details())
        except asyncio.CancelledError:
            if not self._silenced:
                raise
            reason = LostError("it fell silent")
        finally:
            self._incoming.put_nowait(reason)

    async def read(self) -> pb.SynthesizeResponse:
        """What comes next. Raises LostError."""
        response = await self._incoming.get()
        if isinstance(response, LostError):
            raise response
        return response

    def segment_of(self, number: int) -> SegmentProgress | None:
        """The open segment; None where it has ended."""
        return self._numbers.get(number)

    def ended(self, number: int) -> None:
        self._numbers.pop(number, None)

    def taken(self) -> None:
        """The reader is done with a frame: the worker may send another."""
        self._unreturned += 1
        if self._unreturned == RETURN_FRAMES:
            self._unreturned = 0
            self._send(pb.SynthesizeRequest(credit=pb.SynthesizeRequest.Credit(frames=RETURN_FRAMES)))

    def cancel(self) -> bool:
        """The worker fell silent: who reads is told so."""
        self._silenced = True
        return bool(self._call.cancel())

    async def close(self) -> None:
        """Cancels in band what is open, and waits a moment for the worker to say that it has."""
        try:
            for number in self._numbers:
                self._send(pb.SynthesizeRequest(cancel=pb.SynthesizeRequest.Cancel(segment=number)))
            self._outgoing.put_nowait(None)
            await asyncio.wait([self._receiving], timeout=GOODBYE_S)
        finally:
            self._call.cancel()
            self.lease.__exit__(None, None, None)


def _lost(code: grpc.StatusCode, details: str | None) -> LostError:
    return LostError(f"{code.name}: {details or 'the stream ended'}", refused=code in _REFUSALS)
