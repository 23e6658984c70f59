"""Children that end, hang and cannot start, and the folder of their sockets. The programs are a few lines each."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from dataclasses import replace

import psutil
import pytest
from structlog.testing import capture_logs

from antiphon.apps import child_process, supervisor
from antiphon.apps.child_process import Command
from antiphon.apps.supervisor import ChildState, Supervisor
from antiphon.errors import ConfigError, EngineError

LIMIT_S = 30.0

READY = "import os, signal, sys, time; os.write(int(sys.argv[-1]), b'ready\\n');"
"""What a well-behaved program begins with."""


def program(code: str, name: str = "tts") -> Command:
    return Command(name, (), (sys.executable, "-c", textwrap.dedent(code)))


async def until(running: Supervisor, state: ChildState, restarts: int = 0) -> None:
    """Waits until the only child is in that state, after so many restarts."""
    (child,) = running.children
    async with asyncio.timeout(LIMIT_S):
        while child.state is not state or child.restarts < restarts:
            await running.changed()


async def test_a_child_that_is_killed_is_started_again_and_told_of() -> None:
    told: list[str] = []
    with capture_logs() as log:
        async with Supervisor([program(READY + "time.sleep(60)")], told.append) as running:
            await running.ready("tts")
            (child,) = running.children
            first = child.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(running, ChildState.RUNNING, restarts=1)
            assert child.pid not in (None, first)
            second = child.pid
            assert child.last_exit == "SIGKILL"
        assert child.state is ChildState.STOPPED
    assert told == ["tts"]
    ended = [entry for entry in log if entry["event"] == "worker_ended"]
    assert [(entry["worker"], entry["how"]) for entry in ended] == [("tts", "SIGKILL")]
    assert second is not None
    assert not psutil.pid_exists(second)


@pytest.mark.parametrize(("ran_well_s", "waits"), [(60.0, [0.01, 0.02, 0.04, 0.04]), (0.0, [0.01, 0.01, 0.01, 0.01])])
async def test_the_wait_grows_until_a_child_has_run_well(
    monkeypatch: pytest.MonkeyPatch, ran_well_s: float, waits: list[float]
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_S", (0.01, 0.04))
    monkeypatch.setattr(supervisor, "RAN_WELL_S", ran_well_s)
    with capture_logs() as log:
        async with Supervisor([program(READY)]) as running:
            await until(running, ChildState.STARTING, restarts=4)
    assert [entry["restart_in_s"] for entry in log if entry["event"] == "worker_ended"][:4] == waits


async def test_a_child_that_cannot_use_what_it_is_given_is_not_started_again() -> None:
    code = "import sys; print('antiphon: there is no voice'); print('and no other'); sys.exit(2)"
    async with Supervisor([program(code)]) as running:
        with pytest.raises(ConfigError, match=r"^there is no voice\nand no other$"):
            await running.ready("tts")
        assert running.children[0].state is ChildState.STOPPED
        assert running.children[0].restarts == 0


async def test_a_child_that_breaks_before_it_is_ready_says_what_it_said() -> None:
    async with Supervisor([program("raise SystemError('out of luck')")]) as running:
        with pytest.raises(EngineError, match=r"(?s)tts did not start: exit code 1.*out of luck"):
            await running.ready("tts")


async def test_a_program_that_there_is_not_is_told() -> None:
    async with Supervisor([Command("tts", (), ("/nowhere/at/all",))]) as running:
        with pytest.raises(EngineError, match="cannot be started"):
            await running.ready("tts")


@pytest.mark.serial
async def test_children_that_do_not_end_are_killed_all_at_once() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "time.sleep(60)"
    async with Supervisor([program(deaf, name) for name in ("asr", "llm", "tts")]) as running:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(running.ready(child.name) for child in running.children))
        pids = [child.pid for child in running.children]
        began_at = loop.time()
    assert child_process.STOP_LIMIT_S <= loop.time() - began_at < 2
    assert not any(pid is None or psutil.pid_exists(pid) for pid in pids)


async def test_what_children_log_is_in_our_log_under_their_names() -> None:
    line = '{"event": "model_loaded", "level": "warning", "logger": "there", "timestamp": "then", "model": "pico"}'
    with capture_logs() as log:
        async with Supervisor([program(f"print({line!r}); print('plain')")]) as running:
            with pytest.raises(EngineError):
                await running.ready("tts")
    loaded = next(entry for entry in log if entry["event"] == "model_loaded")
    assert loaded == {"event": "model_loaded", "log_level": "warning", "model": "pico", "worker": "tts"}
    said = next(entry for entry in log if entry["event"] == "worker_says")
    assert (said["worker"], said["line"]) == ("tts", "plain")


async def test_leaving_before_a_child_is_ready_leaves_nothing() -> None:
    before = psutil.Process().num_fds()
    async with Supervisor([program("import time; time.sleep(60)")]) as running:
        async with asyncio.timeout(LIMIT_S):
            while (pid := running.children[0].pid) is None:
                await running.changed()
    assert not psutil.pid_exists(pid)
    assert psutil.Process().num_fds() <= before + 1  # the loop's own child watcher


STANDS_BY = """
    import os, signal, sys, time
    if "--standby-fd" in sys.argv:
        if not os.read(int(sys.argv[sys.argv.index("--standby-fd") + 1]), 1):
            sys.exit(3)
    os.write(int(sys.argv[-1]), b'ready\\n')
    time.sleep(60)
"""


@pytest.fixture
def _prepared_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SPARE_AFTER_S", 0.0)


async def standing_by(running: Supervisor, but: int | None = None) -> int:
    """Waits until another process than ``but`` stands by."""
    async with asyncio.timeout(LIMIT_S):
        while (pid := running.children[0].spare_pid) in (None, but):
            await running.changed()
    assert pid is not None
    return pid


@pytest.mark.usefixtures("_prepared_at_once")
async def test_one_that_stands_by_takes_the_place_of_one_that_ends() -> None:
    with capture_logs() as log:
        async with Supervisor([replace(program(STANDS_BY), spare=True)]) as running:
            await running.ready("tts")
            (child,) = running.children
            spare, first = await standing_by(running), child.pid
            assert first is not None
            os.kill(first, signal.SIGKILL)
            await until(running, ChildState.RUNNING, restarts=1)
            assert child.pid == spare
            another = await standing_by(running, but=spare)
        assert not any(psutil.pid_exists(pid) for pid in (first, spare, another))
    (ended,) = (entry for entry in log if entry["event"] == "worker_ended")
    assert ended["restart_in_s"] == 0


@pytest.mark.usefixtures("_prepared_at_once")
async def test_one_that_stands_by_and_ends_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_S", (0.01, 0.01))
    async with Supervisor([replace(program(STANDS_BY), spare=True)]) as running:
        spare = await standing_by(running)
        os.kill(spare, signal.SIGKILL)
        await standing_by(running, but=spare)
        assert running.children[0].restarts == 0


@pytest.mark.usefixtures("_prepared_at_once")
async def test_a_child_that_ends_as_soon_as_it_begins_is_waited_for_though_one_stood_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_S", (0.01, 0.02))
    ends = STANDS_BY.replace("time.sleep(60)", "time.sleep(0 if '--standby-fd' in sys.argv else 60)")
    with capture_logs() as log:
        async with Supervisor([replace(program(ends), spare=True)]) as running:
            await standing_by(running)
            pid = running.children[0].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await until(running, ChildState.RUNNING, restarts=2)
    waits = [entry["restart_in_s"] for entry in log if entry["event"] == "worker_ended"]
    assert (waits[0], waits[1] > 0) == (0, True)


@pytest.mark.usefixtures("_prepared_at_once")
async def test_leaving_while_one_stands_by_leaves_nothing() -> None:
    before = psutil.Process().num_fds()
    async with Supervisor([replace(program(STANDS_BY), spare=True)]) as running:
        spare = await standing_by(running)
    assert not psutil.pid_exists(spare)
    assert psutil.Process().num_fds() <= before + 1  # the loop's own child watcher
