"""One ``Synthesize`` call: the segments of a reply at one worker."""

from __future__ import annotations

from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.voices.fleet import Fleet
from antiphon.voices.lease import Lease
from antiphon.voices.progress import SegmentProgress, Take
from antiphon.voices.worker_call import WorkerCall

CREDIT_FRAMES = 25
"""How far a worker may run ahead of a reader that has stopped: half a second."""

RETURN_FRAMES = 5
"""Credit goes back in bundles of so many, which saves four messages of five."""

GOODBYE_S = 0.5
"""How long a worker may take to say that it has cancelled what was open."""


class SpeechStream:
    """It holds the lease until ``close`` is over."""

    def __init__(
        self, fleet: Fleet, lease: Lease, session: str, voice: str, speed: float, *, if_resident: bool = False
    ) -> None:
        """``if_resident``: a model that is not in memory is not brought there."""
        self._if_resident = if_resident
        self.lease = lease
        self._session = session
        self._voice = voice
        self._speed = speed
        self._segments: dict[int, SegmentProgress] = {}
        """The open ones, by their numbers in this stream."""
        self._next_number = 0
        self._unreturned = 0
        self._call: WorkerCall[pb.SynthesizeRequest, pb.SynthesizeResponse] = WorkerCall(fleet, lease, "Synthesize")
        self._call.send(pb.SynthesizeRequest(credit=pb.SynthesizeRequest.Credit(frames=CREDIT_FRAMES)))

    def open(self, segment: SegmentProgress, take: Take) -> None:
        """Asks for a take of a segment, after those that are open."""
        number, self._next_number = self._next_number, self._next_number + 1
        self._segments[number] = segment
        start = pb.SynthesizeRequest.Start(
            session=self._session,
            segment=number,
            model=self.lease.model,
            voice=self._voice,
            speed=self._speed,
            skip_samples=take.skip_samples,
            if_resident=self._if_resident,
        )
        self._call.send(pb.SynthesizeRequest(start=start))
        self._call.send(pb.SynthesizeRequest(text=pb.SynthesizeRequest.Text(segment=number, text=take.text)))
        self._call.send(pb.SynthesizeRequest(flush=pb.SynthesizeRequest.Flush(segment=number)))

    async def read(self) -> pb.SynthesizeResponse:
        """What comes next; no more of it waits than the credit allows. Raises LostError."""
        return await self._call.read()

    def segment_of(self, number: int) -> SegmentProgress | None:
        """The open segment; None where it has ended."""
        return self._segments.get(number)

    def ended(self, number: int) -> None:
        self._segments.pop(number, None)

    def taken(self) -> None:
        """The reader is done with a frame: the worker may send another."""
        self._unreturned += 1
        if self._unreturned == RETURN_FRAMES:
            self._unreturned = 0
            self._call.send(pb.SynthesizeRequest(credit=pb.SynthesizeRequest.Credit(frames=RETURN_FRAMES)))

    async def close(self) -> None:
        """Cancels in band what is open, and waits a moment for the worker to say that it has."""
        for number in self._segments:
            self._call.send(pb.SynthesizeRequest(cancel=pb.SynthesizeRequest.Cancel(segment=number)))
        await self._call.close(GOODBYE_S)
