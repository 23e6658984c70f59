"""The load test: for each number of callers, a server of its own and a crowd in other processes; a row of figures."""

from __future__ import annotations

import asyncio
import math
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson
import psutil
from rich.console import Console

from antiphon.apps.loadtest.crowd import CrowdOrder, CrowdResult
from antiphon.apps.loadtest.table import print_rows
from antiphon.apps.output_file import check_folder
from antiphon.apps.realtime_client import open_socket, realtime_url
from antiphon.apps.selftest.measures import percentile
from antiphon.apps.server_process import local_server
from antiphon.apps.terminal import wide_console
from antiphon.errors import AntiphonError, ConfigError

SCRIPTED = (
    "--asr",
    "scripted:final_ms=0",
    "--llm",
    "scripted:first_token_ms=50,token_ms=20,tokens=14",
    "--tts",
    "scripted:first_audio_ms=40,speed=10",
)
"""The engines of the server under test: the real VAD, and stated times for all that a model would do."""

CALLERS_PER_PROCESS = 50
"""A core takes some two hundred; fewer keep the crowd's own lateness low."""
CONNECT_LIMIT_S = 60.0
RESULT_LIMIT_S = 30.0
MB = 1e6


class LoadTestError(AntiphonError):
    """The crowd did not do its work."""


@dataclass(frozen=True, slots=True)
class LoadTestOptions:
    """``server_arguments`` go to the servers that it starts, after its own; ``url`` names one that runs instead."""

    sessions: tuple[int, ...] = (1, 10, 50)
    seconds: float = 60.0
    url: str | None = None
    api_key: str | None = None
    server_arguments: tuple[str, ...] = ()
    json_file: Path | None = None
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Row:
    """What so many sessions cost and how they were served. None where it could not be measured (a remote server)."""

    sessions: int
    turns: int
    cpu_s_per_session_minute: float | None
    cpu_percent: float | None
    """Of one core."""
    rss_mb: float | None
    uss_mb: float | None
    memory_mb_per_session: float | None
    """Growth of the server's own memory (USS) over that without sessions, for each of them."""
    jitter_p95_ms: float
    jitter_p99_ms: float
    """How much the time between two frames of 20 ms differed from that, at the caller."""
    response_p50_ms: float
    response_p95_ms: float
    response_max_ms: float
    """From the true end of the question to the first audible sample of the answer."""
    crowd_late_p99_ms: float
    """How late the callers' own frames were sent."""
    lost: int
    lost_because: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Usage:
    cpu_s: float
    rss_bytes: int
    uss_bytes: int


def _usage(pid: int) -> _Usage:
    """Of the server and its own processes."""
    cpu_s, rss, uss = 0.0, 0, 0
    server = psutil.Process(pid)
    for process in (server, *server.children(recursive=True)):
        times, memory = process.cpu_times(), process.memory_full_info()
        cpu_s += times.user + times.system
        rss += memory.rss
        uss += memory.uss
    return _Usage(cpu_s, rss, uss)


@dataclass(slots=True)
class _Crowd:
    """A process full of callers."""

    process: asyncio.subprocess.Process

    async def _line(self, limit_s: float) -> bytes:
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(limit_s):
                line = await self.process.stdout.readline()
        except TimeoutError as error:
            raise LoadTestError(f"the callers' process said nothing for {limit_s:.0f} s") from error
        if not line:
            raise LoadTestError("the callers' process ended too early")
        return line

    async def ready(self) -> None:
        await self._line(CONNECT_LIMIT_S)

    async def result(self, seconds: float) -> CrowdResult:
        return CrowdResult(**orjson.loads(await self._line(seconds + RESULT_LIMIT_S)))

    async def hang_up(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()


@asynccontextmanager
async def _crowd(order: CrowdOrder) -> AsyncIterator[_Crowd]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", "from antiphon.apps.loadtest.crowd import main; main()"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(orjson.dumps(asdict(order)) + b"\n")
        await process.stdin.drain()
        yield _Crowd(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _shares(sessions: int, crowds: int) -> list[int]:
    """The sessions, spread evenly."""
    return [sessions // crowds + (i < sessions % crowds) for i in range(crowds)]


async def _measure(url: str, pid: int | None, sessions: int, options: LoadTestOptions) -> Row:
    """One row: connects all callers, lets them talk, reads the server's usage while they do."""
    idle = _usage(pid) if pid is not None else None
    shares = _shares(sessions, math.ceil(sessions / CALLERS_PER_PROCESS))
    async with AsyncExitStack() as stack:
        orders = [
            CrowdOrder(url, share, options.seconds, options.seed + i, options.api_key) for i, share in enumerate(shares)
        ]
        crowds = [await stack.enter_async_context(_crowd(order)) for order in orders]
        await asyncio.gather(*(crowd.ready() for crowd in crowds))
        begin = _usage(pid) if pid is not None else None
        results = await asyncio.gather(*(crowd.result(options.seconds) for crowd in crowds))
        end = _usage(pid) if pid is not None else None
        for crowd in crowds:
            await crowd.hang_up()
            await crowd.process.wait()
    return _row(sessions, options.seconds, results, idle, begin, end)


def _row(
    sessions: int,
    seconds: float,
    results: Sequence[CrowdResult],
    idle: _Usage | None,
    begin: _Usage | None,
    end: _Usage | None,
) -> Row:
    latencies = [ms for result in results for ms in result.latencies_ms]
    jitter = np.sum([result.jitter_tenths for result in results], axis=0)
    lost = [reason for result in results for reason in result.lost]
    cpu_s = end.cpu_s - begin.cpu_s if begin is not None and end is not None else None
    return Row(
        sessions=sessions,
        turns=sum(result.turns for result in results),
        cpu_s_per_session_minute=None if cpu_s is None else cpu_s / sessions * 60 / seconds,
        cpu_percent=None if cpu_s is None else cpu_s / seconds * 100,
        rss_mb=None if end is None else end.rss_bytes / MB,
        uss_mb=None if end is None else end.uss_bytes / MB,
        memory_mb_per_session=None if end is None or idle is None else (end.uss_bytes - idle.uss_bytes) / MB / sessions,
        jitter_p95_ms=_histogram_percentile(jitter, 0.95) / 10,
        jitter_p99_ms=_histogram_percentile(jitter, 0.99) / 10,
        response_p50_ms=percentile(latencies, 0.5) if latencies else math.nan,
        response_p95_ms=percentile(latencies, 0.95) if latencies else math.nan,
        response_max_ms=max(latencies, default=math.nan),
        crowd_late_p99_ms=max(result.send_late_ms for result in results),
        lost=len(lost),
        lost_because=tuple(sorted(set(lost))),
    )


def _histogram_percentile(counts: np.ndarray[tuple[int], np.dtype[np.int64]], share: float) -> float:
    """The first bin up to which ``share`` of all are counted; nan for an empty histogram."""
    total = int(counts.sum())
    if total == 0:
        return math.nan
    return float(np.searchsorted(np.cumsum(counts), share * total))


async def loadtest(options: LoadTestOptions, console: Console | None = None) -> int:
    """Runs all rows, prints them, writes the JSON file; returns the exit code: 1 when a session was lost.

    Raises AntiphonError when a server or a crowd cannot be run.
    """
    console = console or wide_console()
    if not options.sessions or min(options.sessions) < 1 or options.seconds <= 0:
        raise ConfigError("--sessions takes numbers from 1 on, --seconds a time over 0")
    check_folder("--json", options.json_file)
    if options.url is not None:
        async with open_socket(options.url, options.api_key):  # nobody there is told now, not by every caller
            pass
    rows: list[Row] = []
    for sessions in options.sessions:
        console.print(f"{sessions} sessions for {options.seconds:g} s ...", highlight=False)
        if options.url is not None:
            rows.append(await _measure(_plain(options.url), None, sessions, options))
        else:
            arguments = (*SCRIPTED, "--max-sessions", str(sessions + 1), *options.server_arguments)
            async with local_server(arguments) as server:
                rows.append(await _measure(_plain(server.url), server.pid, sessions, options))
    print_rows(rows, console)
    if options.json_file is not None:
        report = {"cores": os.cpu_count(), "seconds": options.seconds, "rows": [asdict(row) for row in rows]}
        options.json_file.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
    return 1 if any(row.lost for row in rows) else 0


def _plain(url: str) -> str:
    """The address of a conversation without the server's own events, which callers of the standard do not get."""
    return realtime_url(f"{url.rstrip('/')}/v1/realtime?events=none" if "?" not in url else url)
