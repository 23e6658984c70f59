"""Engines in memory: closed after their last use, and not left there by a load that fails."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.errors import EngineError
from antiphon.sim.virtual_time import run_virtual
from antiphon.worker.hosted import LOAD_LIMIT_S, Hosted, Loader, joined, reason_of


class Engine:
    name = "an engine"
    description = "an engine of the tests"

    def __init__(self, load_s: float = 0.0, close_error: Exception | None = None) -> None:
        self.load_s = load_s
        self.close_error = close_error
        self.did: list[str] = []

    async def load(self) -> None:
        await asyncio.sleep(self.load_s)
        self.did.append("load")

    async def close(self) -> None:
        self.did.append("close")
        if self.close_error is not None:
            raise self.close_error


def loader(engine: Engine, error: Exception | None = None) -> Loader[Engine]:
    async def make(_model: str) -> Engine:
        return engine

    async def warm_up(engine: Engine) -> None:
        engine.did.append("warm up")
        if error is not None:
            raise error

    return Loader(make, warm_up)


async def test_an_engine_is_closed_after_its_last_use() -> None:
    engine = Engine()
    hosted = Hosted(engine)
    with hosted.used() as first:
        with hosted.used() as second:
            assert first is second is engine
            closing = asyncio.create_task(hosted.close())
        await asyncio.sleep(0)
        assert engine.did == []
    await closing
    assert engine.did == ["close"]


async def test_an_engine_that_fails_to_close_is_given_up() -> None:
    engine = Engine(close_error=OSError("stuck"))
    await Hosted(engine).close()
    assert engine.did == ["close"]


async def test_what_is_loaded_was_warmed() -> None:
    engine = Engine()
    assert (await loader(engine).load("a")).engine is engine
    assert engine.did == ["load", "warm up"]


async def test_what_fails_to_warm_is_closed() -> None:
    engine = Engine()
    with pytest.raises(EngineError, match="broken"):
        await loader(engine, EngineError("broken")).load("a")
    assert engine.did == ["load", "warm up", "close"]


def test_a_load_has_a_limit() -> None:
    async def load(load_s: float) -> list[str]:
        engine = Engine(load_s)
        try:
            await loader(engine).load("a")
        except TimeoutError as error:
            engine.did.append(reason_of(error))
        return engine.did

    assert run_virtual(load(LOAD_LIMIT_S - 1)) == ["load", "warm up"]
    assert run_virtual(load(LOAD_LIMIT_S + 1)) == ["close", "loading took longer than 300 s"]


def test_many_reasons_are_told_in_a_few_lines() -> None:
    assert joined(["one", "two\nthree"]) == "one\ntwo\nthree"
    told = joined([f"reason {number}" for number in range(30)]).splitlines()
    assert told == [*(f"reason {number}" for number in range(10)), "and 20 more: see the log"]
