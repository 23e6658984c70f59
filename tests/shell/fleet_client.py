"""For the tests of the fleet: workers behind wires that can be cut at any byte, and a fleet that knows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.shell.worker_client import hosting

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.fleet import Shortage
from antiphon.core.speech import AudioChunk
from antiphon.engines import tone_code
from antiphon.voices.fleet import Fleet
from antiphon.voices.registry import StaticRegistry
from antiphon.voices.watcher import Handover
from antiphon.worker.server import WorkerServer

WAIT_S = 30.0


class Wire:
    """Passes everything between a client's socket and a worker's, until it is cut: as if the process was killed."""

    def __init__(self, path: Path, worker: str) -> None:
        self.address = f"unix://{path}"
        self.down_bytes = 0
        """What came from the worker."""
        self.broken = asyncio.Event()
        self._path = path
        self._worker = worker.removeprefix("unix://")
        self._cut_at: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def mend(self) -> None:
        self.broken.clear()
        self._cut_at = None
        if self._server is None:
            # In two steps, so that a cancel between them leaves no server behind.
            self._server = await asyncio.start_unix_server(self._carry, self._path, start_serving=False)
            await self._server.start_serving()

    def cut_after(self, count: int) -> None:
        """Cuts it when the worker has sent so many more bytes."""
        self._cut_at = self.down_bytes + count

    def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.close()
        self._path.unlink(missing_ok=True)
        self.broken.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._writers |= ends
        try:
            worker_reader, worker_writer = await asyncio.open_unix_connection(self._worker)
            ends.add(worker_writer)
            self._writers |= ends
            if self._server is None:  # cut meanwhile
                return
            await asyncio.gather(self._pump(reader, worker_writer), self._pump_down(worker_reader, writer))
        except (ConnectionError, FileNotFoundError):
            pass  # it was cut, or one end is gone
        finally:
            self._writers -= ends
            for end in ends:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _pump_down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            left = len(data) if self._cut_at is None else self._cut_at - self.down_bytes
            self.down_bytes += len(data)
            writer.write(data[:left])
            if left < len(data):
                self.cut()
                return
            await writer.drain()
        writer.close()


class Notes:
    """A Watcher that keeps what it hears."""

    def __init__(self) -> None:
        self.handovers: list[Handover] = []
        self.refusals: list[Shortage] = []

    def handed_over(self, handover: Handover) -> None:
        self.handovers.append(handover)

    def refused(self, stage: str, shortage: Shortage) -> None:
        self.refusals.append(shortage)


class Stage:
    """Workers of one stage, each behind a wire, and the fleet that reaches them."""

    def __init__(self, fleet: Fleet, workers: list[WorkerServer], wires: list[Wire], notes: Notes) -> None:
        self.fleet = fleet
        self.workers = workers
        self.wires = wires
        self.notes = notes

    async def idle(self) -> None:
        """Until nothing is asked of any worker."""
        async with asyncio.timeout(WAIT_S):
            while any(connection.in_flight for connection in self.fleet.connections):
                await self.fleet.changed()

    async def serving(self, count: int) -> None:
        """Until so many workers serve."""
        async with asyncio.timeout(WAIT_S):
            while sum(worker.health.value == "serving" for worker in self.fleet.workers) != count:
                await self.fleet.changed()


@asynccontextmanager
async def staged(tmp_path: Path, stage: str, *models: str, poll_s: float = 0.2, **options: Any) -> AsyncIterator[Stage]:
    """A worker for each of ``models`` ("a+b" for one with two), all of them serving."""
    async with AsyncExitStack() as stack:
        workers, wires = [], []
        for number, names in enumerate(models):
            listen = f"unix://{tmp_path}/worker{number}.sock"
            worker = await stack.enter_async_context(hosting(stage, *names.split("+"), listen=listen, **options))
            wire = Wire(tmp_path / f"wire{number}.sock", worker.address)
            await wire.mend()
            stack.callback(wire.cut)
            workers.append(worker)
            wires.append(wire)
        notes = Notes()
        registry = StaticRegistry(tuple(wire.address for wire in wires))
        fleet = Fleet(stage, registry, seed=1, watcher=notes, poll_s=poll_s)
        stack.push_async_callback(fleet.close)
        await fleet.start()
        staged = Stage(fleet, workers, wires, notes)
        await staged.serving(len(models))
        yield staged


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


def heard(chunks: list[AudioChunk]) -> str:
    return tone_code.decode(b"".join(chunk.pcm for chunk in chunks), MOUTH_RATE_HZ)
