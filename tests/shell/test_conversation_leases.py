"""One conversation is one session's at a time, whichever processes share the file; nobody's for long who was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.shell.test_conversations import LIMIT_S, ask, until

from antiphon.apps import conversation_leases as leases
from antiphon.apps.conversation_file import ConversationFile
from antiphon.apps.server_process import LocalServer, local_server
from antiphon.core.conversation import Item
from antiphon.ids import ItemId
from antiphon.session.keeping import Change, HeldError

ANN, BOB, CAT = "sess_ann", "sess_bob", "sess_cat"
SCRIPTED = ("--vad=scripted:", "--asr=scripted:", "--llm=scripted:tokens=4", "--tts=scripted:", "--in-process")


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def hello(number: int = 0, *, begins: bool = True) -> Change:
    return Change({number: Item(ItemId(f"item_{number}"), "message", "user", text="hello")}, begins=begins)


@asynccontextmanager
async def two_files(path: Path, clock: Clock) -> AsyncIterator[tuple[ConversationFile, ConversationFile]]:
    """As two processes have them open, each with a conversation of its own session."""
    async with AsyncExitStack() as stack:
        files = ConversationFile(path, None, now=clock), ConversationFile(path, None, now=clock)
        for file in files:
            await file.open()
            stack.push_async_callback(file.close)
        yield files


async def test_whoever_has_it_is_asked_to_let_go(tmp_path: Path) -> None:
    clock = Clock()
    async with two_files(tmp_path / "kept.db", clock) as (one, two), asyncio.TaskGroup() as group:
        await one.save("conv_1", hello(), ANN)
        lost: asyncio.Queue[str] = asyncio.Queue()
        holding = group.create_task(one.hold(lost.put_nowait))
        claiming = group.create_task(two.claim("conv_1", BOB))
        assert await lost.get() == ANN
        assert not claiming.done(), "it is still Ann's"
        assert await one.save("conv_1", hello(1, begins=False), ANN), "who says her last words"
        one.leave("conv_1", ANN)
        kept = await claiming
        assert kept is not None
        assert len(kept.items) == 2
        assert not await one.save("conv_1", hello(2, begins=False), ANN), "then it is Bob's alone"
        assert await two.save("conv_1", hello(2, begins=False), BOB)
        holding.cancel()


async def test_of_two_that_claim_it_at_once_one_gets_it(tmp_path: Path) -> None:
    clock = Clock()
    async with two_files(tmp_path / "kept.db", clock) as (one, two):
        await one.save("conv_1", hello(), ANN)
        one.leave("conv_1", ANN)
        claims = await asyncio.gather(one.claim("conv_1", BOB), two.claim("conv_1", CAT), return_exceptions=True)
        assert [type(claim) for claim in claims].count(HeldError) == 1
        assert sum(claim is not None and not isinstance(claim, BaseException) for claim in claims) == 1


async def test_of_two_that_wait_for_it_one_gets_it(tmp_path: Path) -> None:
    clock = Clock()
    async with two_files(tmp_path / "kept.db", clock) as (one, two):
        await one.save("conv_1", hello(), ANN)
        waiting = [asyncio.create_task(file.claim("conv_1", who)) for file, who in ((one, BOB), (two, CAT))]
        async with asyncio.timeout(LIMIT_S):
            while not await one._run(lambda: one._connected.execute("SELECT wanted FROM conversations").fetchone()[0]):
                pass
        clock.now += leases.SETTLE_S
        one.leave("conv_1", ANN)
        claims = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(claim) for claim in claims].count(HeldError) == 1


async def test_what_is_renewed_stays_and_what_is_not_goes(tmp_path: Path) -> None:
    clock = Clock()
    async with two_files(tmp_path / "kept.db", clock) as (one, two):
        await one.save("conv_1", hello(), ANN)
        clock.now += leases.LEASE_S - 1
        assert one._renew({"conv_1": ANN}) == []
        clock.now += leases.LEASE_S - 1
        assert isinstance(two._claim("conv_1", BOB, ""), leases.Held)
        clock.now += 2
        assert await two.claim("conv_1", BOB) is not None
        assert one._renew({"conv_1": ANN}) == [ANN], "who was taken for dead hears of it"
        assert await two.delete("conv_1")
        assert two._renew({"conv_1": BOB}) == [], "what was deleted ends no session"
        assert await two.claim("conv_1", BOB) is None


async def test_a_clock_that_was_set_back_blocks_nobody(tmp_path: Path) -> None:
    clock = Clock()
    async with two_files(tmp_path / "kept.db", clock) as (one, two):
        await one.save("conv_1", hello(), ANN)
        assert await one.claim("conv_1", ANN) is not None
        clock.now -= 3600
        assert await two.claim("conv_1", BOB) is not None


async def test_a_file_that_others_write_to_for_long_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.apps.conversation_file.BUSY_S", 0.01)
    file = ConversationFile(tmp_path / "kept.db", None)
    await file.open()
    other = sqlite3.connect(tmp_path / "kept.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    saving = asyncio.create_task(file.save("conv_1", hello(), ANN))
    await asyncio.sleep(0)  # it is on its way
    saving.cancel()  # and nobody waits for it any more, as at the end of a session
    file.leave("conv_1", ANN)
    closing = asyncio.create_task(file.close())
    with pytest.raises(asyncio.CancelledError):
        await saving
    other.execute("ROLLBACK")
    other.close()
    await closing
    file = ConversationFile(tmp_path / "kept.db", None)
    await file.open()
    kept = await file.claim("conv_1", BOB)
    assert kept is not None
    assert len(kept.items) == 1
    await file.close()


@asynccontextmanager
async def two_servers(file: Path) -> AsyncIterator[list[LocalServer]]:
    arguments = (*SCRIPTED, f"--sessions={file}")
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(local_server(arguments)) for _ in range(2)]
        yield await asyncio.gather(*starting)


async def patiently(http: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    """Asks again where somebody else has only just begun to go on with it, as a client is told to."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                return await http.ws_connect(url)
            except aiohttp.WSServerHandshakeError as refused:
                if refused.status != 409:
                    raise


@pytest.mark.serial  # two claims are at once within a second
async def test_two_servers_share_a_file_and_one_is_killed(tmp_path: Path) -> None:
    async with two_servers(tmp_path / "kept.db") as (one, two), aiohttp.ClientSession() as http:
        first = await http.ws_connect(f"{one.url}/v1/realtime?events=antiphon&resumable=1")
        name = (await until(first, "antiphon.conversation"))[-1]["conversation_id"]
        answer = await ask(first, "hello")

        second = await http.ws_connect(f"{two.url}/v1/realtime?events=antiphon&conversation={name}")
        assert (await until(second, "antiphon.conversation"))[-1]["items"] == 2
        while (closed := await first.receive(timeout=LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
            last = closed.json()
        assert last["error"]["code"] == "conversation_taken_over"
        assert await ask(second, "repeat") == answer
        await second.close()

        at_once = await asyncio.gather(
            *(http.ws_connect(f"{server.url}/v1/realtime?conversation={name}") for server in (one, two)),
            return_exceptions=True,
        )
        refused = [each for each in at_once if isinstance(each, aiohttp.WSServerHandshakeError)]
        there = [each for each in at_once if isinstance(each, aiohttp.ClientWebSocketResponse)]
        assert (len(there), [error.status for error in refused]) == (1, [409])
        assert await ask(there[0], "repeat") == answer

        holder, other = (one, two) if at_once[0] is there[0] else (two, one)
        os.kill(holder.pid, signal.SIGKILL)
        second = await patiently(http, f"{other.url}/v1/realtime?conversation={name}")
        assert await ask(second, "repeat") == answer
        await second.close()
