"""For the tests of workers: a worker in this process or in one of its own, and a client that says what it wants."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.residency_events import ResidencySettings
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub
from antiphon.worker.server import WorkerServer, WorkerSettings
from antiphon.worker.stages import STAGES

CHANNEL_OPTIONS = (
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 16384),
    ("grpc.use_local_subchannel_pool", 1),
)
LIMIT_S = 30.0
Request = pb.SynthesizeRequest
Response = pb.SynthesizeResponse


@asynccontextmanager
async def hosting(
    stage: str, *models: str, listen: str = "127.0.0.1:0", max_concurrent: int = 32, **residency: Any
) -> AsyncIterator[WorkerServer]:
    """A worker in this process, loaded."""
    residency.setdefault("preload", models[:1])
    settings = WorkerSettings(STAGES[stage], ResidencySettings(models, **residency), listen, max_concurrent)
    async with WorkerServer(settings) as server:
        await server.load()
        yield server


@asynccontextmanager
async def channel_to(address: str, credentials: grpc.ChannelCredentials | None = None) -> AsyncIterator[Any]:
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=CHANNEL_OPTIONS)
    async with channel:
        yield channel


class WorkerProcess:
    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address

    async def ended(self) -> tuple[int, str]:
        """The exit code and the log."""
        _, err = await asyncio.wait_for(self.process.communicate(), LIMIT_S)
        assert self.process.returncode is not None
        return self.process.returncode, err.decode()


@asynccontextmanager
async def worker_process(
    *arguments: str, listen: str = "127.0.0.1:0", ready_within_s: float = LIMIT_S
) -> AsyncIterator[WorkerProcess]:
    """``antiphon worker`` with these arguments, ready."""
    readable, writable = os.pipe()
    command = ["-m", "antiphon.apps.child", "worker", *arguments, "--listen", listen, "--ready-fd", str(writable)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stderr=asyncio.subprocess.PIPE, pass_fds=(writable,)
    )
    os.close(writable)
    try:
        with os.fdopen(readable, "rb") as ready:
            line = await asyncio.wait_for(asyncio.to_thread(ready.readline), ready_within_s)
        if not line:
            _, err = await process.communicate()
            raise AssertionError(f"the worker did not start: {err.decode()}")
        yield WorkerProcess(process, line.decode().strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Speaker:
    """One ``Synthesize`` stream."""

    def __init__(self, stub: SynthesizerStub, session: str = "s", model: str = "", voice: str = "") -> None:
        self.call: Any = stub.Synthesize()
        self.session = session
        self.model = model
        self.voice = voice

    async def start(self, segment: int, **fields: Any) -> None:
        start = Request.Start(session=self.session, segment=segment, model=self.model, voice=self.voice, **fields)
        await self.call.write(Request(start=start))

    async def text(self, segment: int, text: str) -> None:
        await self.call.write(Request(text=Request.Text(segment=segment, text=text)))

    async def flush(self, segment: int) -> None:
        await self.call.write(Request(flush=Request.Flush(segment=segment)))

    async def say(self, segment: int, text: str, **fields: Any) -> None:
        await self.start(segment, **fields)
        await self.text(segment, text)
        await self.flush(segment)

    async def credit(self, frames: int) -> None:
        await self.call.write(Request(credit=Request.Credit(frames=frames)))

    async def cancel(self, segment: int) -> None:
        await self.call.write(Request(cancel=Request.Cancel(segment=segment)))

    async def pause(self) -> None:
        await self.call.write(Request(pause=Request.Pause()))

    async def resume(self) -> None:
        await self.call.write(Request(resume=Request.Resume()))

    async def read(self) -> Response:
        message = await asyncio.wait_for(self.call.read(), LIMIT_S)
        assert isinstance(message, Response), message
        return message

    async def frames(self, count: int) -> list[Response.Audio]:
        return [(await self.read()).audio for _ in range(count)]

    async def segment(self) -> list[Response]:
        """All up to the next terminal message."""
        messages = [await self.read()]
        while not terminal(messages[-1]):
            messages.append(await self.read())
        return messages

    async def silent_for(self, seconds: float) -> bool:
        """Whether nothing comes. Afterwards the stream can only be cancelled."""
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(self.call.read())), seconds)
        except TimeoutError:
            return True
        return False

    async def close(self) -> grpc.StatusCode:
        """Closes our side, reads what still comes, and returns the status."""
        await self.call.done_writing()
        return await status_of(self.call)


async def status_of(call: Any) -> grpc.StatusCode:
    """The status in which a call ends. What comes before it must be read, or it does not come."""
    try:
        while await asyncio.wait_for(call.read(), LIMIT_S) is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code()
    code = await call.code()
    assert isinstance(code, grpc.StatusCode)
    return code


def terminal(message: Response) -> bool:
    return message.WhichOneof("message") != "audio" or message.audio.final


def pcm_of(messages: list[Response]) -> bytes:
    """The speech without the padding."""
    parts = []
    for message in messages:
        audio = message.audio
        parts.append(audio.pcm[: audio.samples * 2] if audio.samples else audio.pcm)
    return b"".join(parts)


async def cut_one_and_hear_another(model: str, long: str, short: str, voice: str) -> float:
    """A worker on the CPU speaks for two: of the one's ``long`` text the first sound, of the other's ``short`` one all.

    Returns how many seconds the other heard. Nothing of what was said may be in the log.
    """
    async with worker_process("tts", "--models", model, "--device", "cpu", ready_within_s=150.0) as worker:
        async with channel_to(worker.address) as channel:
            stub = SynthesizerStub(channel)  # type: ignore[no-untyped-call]
            interrupted, other = Speaker(stub, "interrupted"), Speaker(stub, "other", voice=voice)
            await interrupted.credit(100_000)
            await interrupted.say(0, long)
            await interrupted.frames(1)
            await interrupted.cancel(0)
            assert (await interrupted.segment())[-1].WhichOneof("message") == "cancelled"
            await other.credit(100_000)
            await other.say(0, short)
            heard_s = len(pcm_of(await other.segment())) / 2 / MOUTH_RATE_HZ
            for speaker in (interrupted, other):
                assert await speaker.close() is grpc.StatusCode.OK
        worker.process.terminate()
        code, log = await worker.ended()
    assert code == 0, log
    assert "Traceback" not in log
    assert long[:5] not in log
    return heard_s
