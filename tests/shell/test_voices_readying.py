"""Models that are brought into memory before they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shell.fleet_client import staged

from antiphon.errors import EngineError
from antiphon.voices.readying import make_ready

ONE, TWO, BROKEN = "scripted:tokens=1", "scripted:tokens=2", "http://127.0.0.1:9/v1#none"


async def test_a_worker_that_has_it_loads_it(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", ONE, f"{ONE}+{TWO}", preload=()) as stage:
        await make_ready(stage.fleet, (TWO,), "two")
        assert [worker.resident for worker in stage.fleet.workers] == [frozenset(), {TWO}]
        await make_ready(stage.fleet, (ONE, TWO), "either")
        assert stage.fleet.workers[0].resident == frozenset(), "one of them was in memory"


async def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", f"{ONE}+{BROKEN}") as stage:
        with pytest.raises(EngineError, match="no llm worker that serves has two") as missing:
            await make_ready(stage.fleet, (TWO,), "two")
        assert missing.value.retryable
        with pytest.raises(EngineError, match="was not loaded"):
            await make_ready(stage.fleet, (BROKEN,), "broken")
