"""Engines on MLX in workers of their own, which must also end well: MLX is particular about threads."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.shell.tiny_mlx import write_mlx_pocket, write_parakeet
from tests.shell.worker_client import LIMIT_S, Speaker, WorkerProcess, channel_to, pcm_of, status_of, worker_process

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ
from antiphon.v1 import recognizer_pb2
from antiphon.v1.recognizer_pb2_grpc import RecognizerStub
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub

Request = recognizer_pb2.RecognizeRequest

_READY_WITHIN_S = 150.0
"""The libraries take some seconds of CPU time to be imported."""


async def speak_and_cancel(worker: WorkerProcess) -> None:
    async with channel_to(worker.address) as channel:
        stub = SynthesizerStub(channel)  # type: ignore[no-untyped-call]
        interrupted, other = Speaker(stub, "interrupted"), Speaker(stub, "other", voice="jean")
        await interrupted.credit(100_000)
        await interrupted.say(0, "hello there world, " * 8)
        await interrupted.frames(2)
        await interrupted.cancel(0)
        assert (await interrupted.segment())[-1].WhichOneof("message") == "cancelled"
        await other.credit(100_000)
        await other.say(0, "Hello.")
        assert len(pcm_of(await other.segment())) > MOUTH_RATE_HZ // 10
        for speaker in (interrupted, other):
            assert await speaker.close() is grpc.StatusCode.OK


async def hear(worker: WorkerProcess) -> None:
    async with channel_to(worker.address) as channel:
        call = RecognizerStub(channel).Recognize()  # type: ignore[no-untyped-call]
        await call.write(Request(start=Request.Start(session="s")))
        sound = np.random.default_rng(1).normal(0, 3000, 2 * EAR_RATE_HZ).astype("<i2").tobytes()
        for at in range(0, len(sound), 640):
            await call.write(Request(audio=Request.Audio(pcm=sound[at : at + 640])))
        await call.write(Request(finalize=Request.Finalize(revision=1)))
        while (message := await asyncio.wait_for(call.read(), LIMIT_S)).WhichOneof("message") == "partial":
            assert message.partial.text
        assert " ".join(word.text for word in message.final.words) == message.final.text
        assert all(before.end_ms <= after.start_ms for before, after in pairwise(message.final.words))
        assert message.final.words[-1].end_ms <= 2000
        await call.done_writing()
        assert await status_of(call) is grpc.StatusCode.OK


async def in_a_worker(stage: str, model: str, use: Callable[[WorkerProcess], Awaitable[None]]) -> None:
    async with worker_process(stage, "--models", model, ready_within_s=_READY_WITHIN_S) as worker:
        await use(worker)
        worker.process.terminate()
        code, log = await worker.ended()
    assert code == 0, log
    assert "Traceback" not in log
    assert "terminate called" not in log


@pytest.mark.timeout(240)
async def test_workers_speak_and_hear_and_end(tmp_path: Path) -> None:
    voice = write_mlx_pocket(tmp_path / "pocket", ("alba", "jean"))
    ear = write_parakeet(tmp_path / "parakeet")
    await asyncio.gather(
        in_a_worker("tts", f"mlx-audio:{voice}", speak_and_cancel), in_a_worker("asr", f"parakeet:{ear}", hear)
    )
