"""The verbs of ``Control`` and the end of a session, over speech that flows, on the samples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from tests.shell.worker_client import Response, Speaker, channel_to, hosting, pcm_of, terminal

from antiphon.v1 import models_pb2 as models
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub
from antiphon.worker.server import WorkerServer
from antiphon.worker.speech import SpeechStream

FLOWING = "scripted:first_audio_ms=1,speed=2"
"""A frame each 10 ms."""
TEXT = "one two three four five six seven eight nine ten."
Verb = models.ControlRequest


class Flow:
    """A stream of speech whose client takes whatever comes."""

    def __init__(self, worker: WorkerServer, stub: SynthesizerStub, session: str) -> None:
        self.speaker = Speaker(stub, session)
        self.session = session
        self._worker = worker
        self._stub = stub
        self.got: list[Response] = []

    async def begin(self) -> None:
        await self.speaker.credit(100_000)
        await self.speaker.say(0, TEXT)
        await self.read(10)

    async def read(self, count: int) -> None:
        self.got += [await self.speaker.read() for _ in range(count)]

    async def to_the_end(self) -> None:
        while not terminal(self.got[-1]):
            await self.read(1)

    @property
    def sent(self) -> int:
        """Frames that have left the worker."""
        streams = cast("set[SpeechStream]", self._worker.host.sessions._running)
        (stream,) = (each for each in streams if each.session == self.session)
        return stream._open[0].last_seq + 1

    async def control(self, verb: models.ControlRequest.Verb) -> int:
        answer = await self._stub.Control(models.ControlRequest(verb=verb, session=self.session))
        return int(answer.segments)


@asynccontextmanager
async def flowing(*sessions: str) -> AsyncIterator[list[Flow]]:
    async with hosting("tts", FLOWING) as worker, channel_to(worker.address) as channel:
        flows = [Flow(worker, SynthesizerStub(channel), session) for session in sessions]  # type: ignore[no-untyped-call]
        for flow in flows:
            await flow.begin()
        yield flows


async def whole() -> bytes:
    """The speech as nobody disturbs it."""
    async with flowing("alone") as [flow]:
        await flow.to_the_end()
        return pcm_of(flow.got)


async def test_pause_holds_within_a_frame_and_resume_goes_on_at_the_next_sample() -> None:
    undisturbed = await whole()
    async with flowing("one", "other") as [one, other]:
        for _ in range(2):
            assert await one.control(Verb.PAUSE) == 1
            held_at = one.sent
            await one.read(held_at - len(one.got))  # nothing but the pause holds the next one back
            await other.read(20)
            assert one.sent == held_at, "no frame leaves after the answer"
            assert await one.control(Verb.RESUME) == 1
            await one.read(5)
            assert [message.audio.seq for message in one.got] == list(range(len(one.got)))
        await one.to_the_end()
        await other.to_the_end()
        assert pcm_of(one.got) == pcm_of(other.got) == undisturbed


async def test_stop_ends_within_a_frame_and_what_comes_after_speaks() -> None:
    async with flowing("one", "other") as [one, other]:
        assert await one.control(Verb.STOP) == 1
        await one.to_the_end()
        *frames, end = one.got
        assert end.WhichOneof("message") == "cancelled"
        assert end.cancelled.last_seq == frames[-1].audio.seq
        assert await one.control(Verb.STOP) == 0
        await one.speaker.say(1, "one.")
        assert (await one.speaker.segment())[-1].audio.final
        await other.to_the_end()
        assert other.got[-1].audio.final


@pytest.mark.parametrize("paused", [False, True])
async def test_the_end_of_a_session_stops_what_speaks_for_it_paused_or_not(paused: bool) -> None:
    async with flowing("one", "other") as [one, other]:
        if paused:
            await one.control(Verb.PAUSE)
        await one._stub.EndSession(models.EndSessionRequest(session="one"))
        await one.to_the_end()
        assert one.got[-1].WhichOneof("message") == "cancelled"
        assert one.got[-1].cancelled.last_seq == len(one.got) - 2
        await other.to_the_end()
        assert other.got[-1].audio.final
