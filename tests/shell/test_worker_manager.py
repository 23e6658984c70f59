"""Loading, warming and closing around the decisions, with engines that do as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from antiphon.core.residency_events import ModelState, Reason, ResidencySettings
from antiphon.errors import EngineError
from antiphon.worker.manager import ModelManager, ModelRefusedError


class Engine:
    """Its load waits for ``may_load``, where there is one, and raises ``error``."""

    description = "an engine of the tests"

    def __init__(self, name: str, error: Exception | None = None, may_load: asyncio.Event | None = None) -> None:
        self.name = name
        self.error = error
        self.may_load = may_load
        self.did: list[str] = []
        self.closed = asyncio.Event()

    async def load(self) -> None:
        if self.may_load is not None:
            await self.may_load.wait()
        if self.error is not None:
            raise self.error
        self.did.append("load")

    async def close(self) -> None:
        self.did.append("close")
        self.closed.set()


class Shelf:
    """Makes the engines and keeps them."""

    def __init__(self) -> None:
        self.made: dict[str, list[Engine]] = {}
        self.errors: dict[str, Exception] = {}
        self.may_load: asyncio.Event | None = None

    async def make(self, name: str) -> Engine:
        engine = Engine(name, self.errors.get(name), self.may_load)
        self.made.setdefault(name, []).append(engine)
        return engine

    async def warm_up(self, engine: Engine) -> None:
        engine.did.append("warm up")


@asynccontextmanager
async def managing(shelf: Shelf, **settings: Any) -> AsyncIterator[ModelManager[Engine]]:
    manager: ModelManager[Engine] = ModelManager(
        ResidencySettings(("a", "b", "c"), **settings), shelf.make, shelf.warm_up
    )
    await manager.start()
    try:
        yield manager
    finally:
        await manager.close()


def state(manager: ModelManager[Engine], model: str) -> ModelState:
    return next(info.status.state for info in manager.info() if info.status.name == model)


async def test_a_model_is_loaded_warmed_and_closed() -> None:
    shelf = Shelf()
    async with managing(shelf, preload=("a",)) as manager:
        assert state(manager, "a") is ModelState.RESIDENT
        lease = await manager.lease("b")
        with lease.using() as engine:
            assert engine is shelf.made["b"][0]
        lease.end()
        lease.end()
    assert [engine.did for engines in shelf.made.values() for engine in engines] == [["load", "warm up", "close"]] * 2


async def test_who_comes_at_the_same_time_waits_for_the_same_load() -> None:
    shelf = Shelf()
    shelf.may_load = asyncio.Event()
    async with managing(shelf) as manager:
        waiting = [asyncio.create_task(manager.lease("a")) for _ in range(5)]
        await asyncio.sleep(0)
        assert manager.waiting == 5
        shelf.may_load.set()
        leases = await asyncio.gather(*waiting)
        assert len(shelf.made["a"]) == 1
        assert manager.info()[0].status.leases == 5
        for lease in leases:
            lease.end()


async def test_who_gives_up_waiting_holds_nothing() -> None:
    shelf = Shelf()
    shelf.may_load = asyncio.Event()
    async with managing(shelf) as manager:
        waiting = asyncio.create_task(manager.lease("a"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert manager.waiting == 0
        shelf.may_load.set()
        await manager.load("a")
        assert manager.info()[0].status.leases == 0


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (EngineError("reinstall it"), "reinstall it"),
        (MemoryError(), "out of memory"),
        (OSError("bad magic number"), "OSError: bad magic number"),
        (ZeroDivisionError("a defect"), "ZeroDivisionError: a defect"),
    ],
)
async def test_a_load_that_fails_is_told_and_survived(error: Exception, why: str) -> None:
    shelf = Shelf()
    shelf.errors["a"] = error
    async with managing(shelf, preload=("a", "b")) as manager:
        assert (state(manager, "a"), state(manager, "b")) == (ModelState.FAILED, ModelState.RESIDENT)
        assert manager.info()[0].status.error == why
        with pytest.raises(ModelRefusedError, match=why) as refused:
            await manager.lease("a")
        assert refused.value.reason is Reason.FAILED
        assert refused.value.retry_after_s is not None
        del shelf.errors["a"]
        await manager.load("a")
        assert state(manager, "a") is ModelState.RESIDENT
    assert shelf.made["a"][0].did == ["close"]


async def test_idle_models_leave_by_themselves() -> None:
    shelf = Shelf()
    async with managing(shelf, ttl_s=0.01, min_residency_s=0) as manager:
        (await manager.lease("a")).end()
        await manager.unload("a")  # returns when it is gone, whoever sent it away
        (await manager.lease("b")).end()
        await shelf.made["b"][0].closed.wait()
        assert state(manager, "b") in (ModelState.ABSENT, ModelState.UNLOADING)


async def test_the_cap_makes_one_leave_for_another() -> None:
    shelf = Shelf()
    async with managing(shelf, cap=1, min_residency_s=0) as manager:
        first = await manager.lease("a")
        with pytest.raises(ModelRefusedError, match="in use"):
            await manager.lease("b")
        first.end()
        second = await manager.lease("b")
        assert shelf.made["a"][0].did[-1] == "close"
        second.end()


async def test_a_forced_unload_waits_only_for_work_to_stop() -> None:
    shelf = Shelf()
    async with managing(shelf) as manager:
        lost = asyncio.Event()
        lease = await manager.lease("a", on_revoked=lost.set)
        unloading = asyncio.create_task(manager.unload("a", force=True))
        await lost.wait()
        with lease.using():
            lease.end()
            await asyncio.sleep(0)
            assert "close" not in shelf.made["a"][0].did
        await unloading
        assert shelf.made["a"][0].did[-1] == "close"


async def test_a_lease_that_nobody_watches_ends_when_it_is_revoked() -> None:
    shelf = Shelf()
    async with managing(shelf) as manager:
        await manager.lease("a", "session")
        await manager.unload("a", force=True)
        assert state(manager, "a") is ModelState.ABSENT


async def test_a_reload_lets_work_end_with_the_old_engine() -> None:
    shelf = Shelf()
    async with managing(shelf, preload=("a",)) as manager:
        lease = await manager.lease("a")
        with lease.using() as old:
            assert await manager.reload() == 1
            with lease.using() as new:
                assert new is not old
            assert "close" not in old.did
        shelf.errors["a"] = EngineError("a broken file")
        with pytest.raises(ModelRefusedError, match="a broken file"):
            await manager.reload()
        with lease.using() as still:
            assert still is new
        lease.end()
    assert [engine.did[-1] for engine in shelf.made["a"]] == ["close"] * 3


async def test_a_reload_of_one_model_leaves_the_others() -> None:
    shelf = Shelf()
    async with managing(shelf, preload=("a", "b")) as manager:
        assert await manager.reload("b") == 1
        assert await manager.reload("c") == 0  # it is not in memory, and reads what there is when it comes
        assert (len(shelf.made["a"]), len(shelf.made["b"]), "c" in shelf.made) == (1, 2, False)


async def test_an_engine_that_reads_its_voices_again_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    async def reload(engine: Engine) -> bool:
        read.append(engine.name)
        if engine.name == "a":
            raise EngineError("\n".join(f"pack {number} is broken" for number in range(30)))
        return True

    monkeypatch.setattr(Engine, "reload", reload, raising=False)
    shelf = Shelf()
    async with managing(shelf, preload=("a", "b")) as manager:
        with pytest.raises(ModelRefusedError) as refused:
            await manager.reload(also_wrong=["pack of nobody"])
        assert read == ["a", "b"]
        assert [len(engines) for engines in shelf.made.values()] == [1, 1]
    lines = str(refused.value).splitlines()
    assert (lines[0], lines[1], len(lines)) == ("pack of nobody", "pack 0 is broken", 11)
    assert lines[-1] == "and 21 more: see the log"


async def test_closing_refuses_those_that_wait() -> None:
    shelf = Shelf()
    shelf.may_load = asyncio.Event()
    manager: ModelManager[Engine] = ModelManager(ResidencySettings(("a",)), shelf.make, shelf.warm_up)
    waiting = asyncio.create_task(manager.lease("a"))
    await asyncio.sleep(0)
    await manager.close()
    with pytest.raises(ModelRefusedError, match="ends"):
        await waiting
