"""One stream of ``Synthesize``: segments of text in, their frames out, in the same order.

Three tasks work on it. The reader takes what the client says and never waits. The producer speaks one segment after the
other, ahead of the client by at most the outbox. The writer sends what may leave. A segment is open until the writer
has taken its last message, and that is the only place where it ends but for a cancel, so it ends once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from antiphon.audio import FRAME_BYTES, MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import Synthesizer
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.worker.frames import Frame, Framer, TextFeed
from antiphon.worker.host import Host, end_tasks, last_write, told
from antiphon.worker.manager import Lease
from antiphon.worker.outbox import Hold, Outbox, Parcel
from antiphon.worker.refusals import UNLOADED, BadRequestError, Failure

AHEAD_FRAMES = 50
"""Frames that may wait for credit, a second of speech."""
MAX_OPEN_SEGMENTS = 64
MAX_SEGMENT_CHARS = 20_000

Message = pb.SynthesizeResponse
Send = Callable[[Message], Awaitable[None]]


@dataclass(slots=True, eq=False)
class _Segment:
    start: pb.SynthesizeRequest.Start
    model: str
    feed: TextFeed = field(default_factory=TextFeed)
    next_seq: int = 0
    """Of the frames that were made."""
    last_seq: int = -1
    """Of the frames that were sent."""
    speaking: asyncio.Task[None] | None = None
    lost_model: bool = False

    @property
    def number(self) -> int:
        return self.start.segment


class SpeechStream:
    """Made for one call, used once."""

    def __init__(self, host: Host[Synthesizer]) -> None:
        self._host = host
        self._outbox: Outbox[Message] = Outbox(AHEAD_FRAMES)
        self._session = ""
        self._next_number = 0
        self._open: dict[int, _Segment] = {}
        self._to_speak: deque[_Segment] = deque()
        self._something_to_speak = asyncio.Event()
        self._leases: dict[str, Lease[Synthesizer]] = {}

    @property
    def session(self) -> str:
        return self._session

    async def run(self, requests: AsyncIterator[pb.SynthesizeRequest], send: Send) -> None:
        """Serves the call to its end. Raises BadRequestError; cancel it when the client is gone."""
        writing = asyncio.create_task(self._write(send))
        producing = asyncio.create_task(self._produce())
        reading = asyncio.create_task(self._read(requests))
        try:
            await asyncio.wait([reading, writing, producing], return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, writing, producing):
                if task.done():
                    task.result()
            self.stop()
            self._outbox.finish()
            await writing
        except BadRequestError:
            self._outbox.discard()
            await last_write(writing)
            raise
        finally:
            await end_tasks(reading, producing, writing)
            for lease in self._leases.values():
                lease.end()

    def pause(self) -> int:
        self._outbox.hold(Hold.SESSION)
        return len(self._open)

    def resume(self) -> int:
        self._outbox.release(Hold.SESSION)
        return len(self._open)

    def stop(self) -> int:
        """All open segments end as cancelled, and what comes after them is not held."""
        stopped = list(self._open.values())
        for segment in stopped:
            self._cancel(segment)
        self._outbox.release(Hold.SESSION)
        return len(stopped)

    # What the client says.

    async def _read(self, requests: AsyncIterator[pb.SynthesizeRequest]) -> None:
        async for request in requests:
            self._take(request)

    def _take(self, request: pb.SynthesizeRequest) -> None:
        match request.WhichOneof("message"):
            case "start":
                self._start(request.start)
            case "text":
                self._add_text(request.text)
            case "flush":
                segment = self._known(request.flush.segment)
                if segment is not None:
                    segment.feed.flush()
            case "cancel":
                segment = self._known(request.cancel.segment)
                if segment is not None:
                    self._cancel(segment)
            case "credit":
                self._outbox.allow(request.credit.frames)
            case "pause":
                self._outbox.hold(Hold.STREAM)
            case "resume":
                self._outbox.release(Hold.STREAM)
            case _:
                raise BadRequestError("a request without a message")

    def _start(self, start: pb.SynthesizeRequest.Start) -> None:
        if start.segment != self._next_number:
            raise BadRequestError(f"segment {start.segment} where {self._next_number} comes next")
        if len(self._open) >= MAX_OPEN_SEGMENTS:
            raise BadRequestError(f"more than {MAX_OPEN_SEGMENTS} segments are open")
        self._next_number += 1
        self._session = start.session
        segment = _Segment(start, start.model or self._host.identity.default_model)
        self._open[segment.number] = segment
        self._to_speak.append(segment)
        self._something_to_speak.set()

    def _add_text(self, text: pb.SynthesizeRequest.Text) -> None:
        segment = self._known(text.segment)
        if segment is None:
            return
        if segment.feed.complete:
            raise BadRequestError(f"text for segment {segment.number} after its flush")
        if segment.feed.chars + len(text.text) > MAX_SEGMENT_CHARS:
            raise BadRequestError(f"more than {MAX_SEGMENT_CHARS} characters in segment {segment.number}")
        segment.feed.add(text.text)

    def _known(self, number: int) -> _Segment | None:
        """The open segment; None for one that ended, of which the client may not know yet."""
        if number >= self._next_number:
            raise BadRequestError(f"segment {number} was not started")
        return self._open.get(number)

    def _cancel(self, segment: _Segment) -> None:
        del self._open[segment.number]
        if segment.speaking is not None:
            segment.speaking.cancel()
        self._outbox.drop(segment.number)
        cancelled = Message.Cancelled(segment=segment.number, last_seq=segment.last_seq)
        self._outbox.put_urgent(Parcel(Message(cancelled=cancelled), segment.number))

    # What leaves.

    async def _write(self, send: Send) -> None:
        while (parcel := await self._outbox.next()) is not None:
            segment = self._open.get(parcel.segment)
            if segment is not None and parcel.cost:
                segment.last_seq += 1
            if parcel.last:
                self._open.pop(parcel.segment, None)
            await send(parcel.message)

    # What is made.

    async def _produce(self) -> None:
        while True:
            while not self._to_speak:
                self._something_to_speak.clear()
                await self._something_to_speak.wait()
            segment = self._to_speak.popleft()
            if segment.number in self._open:
                await self._speak_in_a_task(segment)

    async def _speak_in_a_task(self, segment: _Segment) -> None:
        """A task of its own, so that a cancel ends this segment and no other."""
        segment.speaking = asyncio.get_running_loop().create_task(self._speak(segment))
        try:
            await asyncio.wait([segment.speaking])
        finally:
            segment.speaking.cancel()
            await asyncio.gather(segment.speaking, return_exceptions=True)
        if segment.lost_model and segment.number in self._open:
            self._fail(segment, UNLOADED)

    async def _speak(self, segment: _Segment) -> None:
        try:
            if segment.start.if_resident and not self._host.models.is_resident(segment.model):
                self._fail(segment, UNLOADED)
                return
            lease = await self._lease(segment.model)
            with lease.using() as engine:
                await self._speak_with(engine, segment)
        except Exception as error:
            self._fail(segment, told(error, session=segment.start.session, model=segment.model))

    async def _speak_with(self, engine: Synthesizer, segment: _Segment) -> None:
        feed, framer = segment.feed, Framer(segment.start.skip_samples)
        piece_samples = [0]
        """Where in the segment's audio each piece begins."""
        loop = asyncio.get_running_loop()
        work_s, began_at, waited_s = 0.0, loop.time(), 0.0
        async with aclosing(engine.speak(feed.pieces(), voice_of(segment.start, engine))) as chunks:
            async for chunk in chunks:
                work_s += loop.time() - began_at - (feed.waited_s - waited_s)
                words = _moved(chunk, feed.starts[chunk.segment], piece_samples[chunk.segment])
                frames = framer.push(chunk.pcm, words.words)
                if chunk.last:
                    piece_samples.append(framer.samples)
                for frame in frames:
                    await self._outbox.room()
                    self._put(segment, frame, final=False)
                began_at, waited_s = loop.time(), feed.waited_s
        self._put(segment, framer.finish(), final=True)
        self._host.meter.add(work_s, framer.samples / MOUTH_RATE_HZ, loop.time())

    def _put(self, segment: _Segment, frame: Frame, *, final: bool) -> None:
        audio = Message.Audio(
            segment=segment.number,
            seq=segment.next_seq,
            pcm=frame.pcm,
            words=[
                pb.Word(
                    start_char=word.start_char,
                    end_char=word.end_char,
                    start_sample=word.start_sample,
                    end_sample=word.end_sample,
                )
                for word in frame.words
            ],
            final=final,
            samples=frame.padding_from or 0,
        )
        segment.next_seq += 1
        cost = 1 if len(frame.pcm) == FRAME_BYTES else 0
        self._outbox.put(Parcel(Message(audio=audio), segment.number, cost, last=final))

    def _fail(self, segment: _Segment, failure: Failure) -> None:
        error = Message.Error(
            segment=segment.number, code=failure.code.name, message=failure.message, retryable=failure.retryable
        )
        self._outbox.put(Parcel(Message(error=error), segment.number, last=True))

    async def _lease(self, model: str) -> Lease[Synthesizer]:
        """One lease of each model for the whole stream, so that nothing is unloaded between two segments."""
        lease = self._leases.get(model)
        if lease is None:
            lease = self._leases[model] = await self._host.lease(
                model, self._session, on_revoked=lambda: self._lose(model)
            )
        return lease

    def _lose(self, model: str) -> None:
        """Somebody takes the model away."""
        lease = self._leases.pop(model, None)
        for segment in self._open.values():
            if segment.model == model and segment.speaking is not None and not segment.speaking.done():
                segment.lost_model = True
                segment.speaking.cancel()
        if lease is not None:
            lease.end()


def voice_of(start: pb.SynthesizeRequest.Start, engine: Synthesizer) -> Voice:
    """The voice by its name; else the first that speaks the language; else the engine's default."""
    name = start.voice
    if not name:
        wanted = start.language.lower()
        speaking = tuple(voice for voice in engine.voices if wanted and voice.language.lower().startswith(wanted))
        name = (speaking or engine.voices)[0].name
    return Voice(name, start.speed or 1.0)


def _moved(chunk: AudioChunk, start_char: int, start_sample: int) -> AudioChunk:
    """The chunk's words, counted from the start of the segment instead of the piece."""
    if not chunk.words or (not start_char and not start_sample):
        return chunk
    return replace(chunk, words=tuple(word.moved(start_char, start_sample) for word in chunk.words))
