"""MCP servers as tools: real server processes, over their standard input and output and over HTTP."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool, ToolError
from antiphon.agents.context import Context
from antiphon.agents.mcp_client import without_what_came
from antiphon.agents.mcp_pool import McpPool, McpSource
from antiphon.agents.mcp_server import McpServer

LIMIT_S = 60.0
ROOT = str(Path(__file__).parents[2])
COMMAND = [sys.executable, "-m", "tests.shell.mcp_tools"]
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join([f"{ROOT}/src", ROOT]), "SHOP": "the corner shop"}


def by_pipes(**options: Any) -> McpServer:
    return McpServer(COMMAND, env=ENVIRONMENT, **options)


@contextmanager
def serving(port: int = 0) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The server over HTTP, and its port."""
    environment = {**os.environ, **ENVIRONMENT}
    process = subprocess.Popen(
        [*COMMAND, "http", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    )
    try:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


class Changes:
    def __init__(self, pool: McpPool) -> None:
        self._changed = asyncio.Event()
        pool.follow(self._changed.set)

    async def next(self) -> None:
        await asyncio.wait_for(self._changed.wait(), LIMIT_S)
        self._changed.clear()


@asynccontextmanager
async def connected(*servers: McpServer) -> AsyncIterator[McpPool]:
    pool = McpPool(servers)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pool.run())
        try:
            assert await pool.settled(LIMIT_S) == {}
            yield pool
        finally:
            running.cancel()


def tools(pool: McpPool, server: McpServer) -> dict[str, AgentTool]:
    return {each.spec.name: each for each in pool.tools(server)}


async def call(tool: AgentTool, context: Context | None = None, **arguments: Any) -> Any:
    return await asyncio.wait_for(tool.call(arguments, context or Context("sess_1", "guide")), LIMIT_S)


async def test_a_server_that_is_started_offers_its_tools_and_answers() -> None:
    told: list[str] = []
    server = by_pipes()
    async with connected(server) as pool:
        changes = Changes(pool)
        there = tools(pool, server)
        assert there["opening_hours"].spec.description.startswith("Tells when the shop is open on a day.\n\nArgs:")
        assert there["opening_hours"].spec.parameters["required"] == ["day"]
        assert await call(there["opening_hours"], day="Monday") == "nine to five on Monday"
        context = Context("sess_1", "guide", tell_progress=told.append)
        assert await call(there["stock_count"], context, item="lamp") == {"count": 4}
        assert told == ["half of the shelves"]
        assert (await call(there["whose"])).endswith("the corner shop")
        with pytest.raises(ToolError, match="broken"):
            await call(there["broken"])
        assert await call(there["grow"]) == "grown"
        await changes.next()
        assert await call(tools(pool, server)["shrink"]) == "small"


async def test_a_server_that_dies_is_started_again_and_ends_with_the_pool() -> None:
    server = by_pipes(tools=["whose", "crash", "no_such_tool"])
    async with connected(server) as pool:
        there = tools(pool, server)
        assert set(there) == {"whose", "crash"}
        first = int((await call(there["whose"])).split()[0])
        with pytest.raises(ToolError, match="did not answer"):
            await call(there["crash"])
        changes = Changes(pool)
        await changes.next()
        second = int((await call(there["whose"])).split()[0])
        assert second != first
        os.kill(second, signal.SIGKILL)  # while nobody calls
        await changes.next()
        third = int((await call(there["whose"])).split()[0])
        assert third not in (first, second)
    with pytest.raises(ProcessLookupError):
        os.kill(third, 0)


async def test_a_server_over_http_is_reached_again_when_it_is_back() -> None:
    with serving() as (process, port):
        server = McpServer(url=f"http://127.0.0.1:{port}/mcp", headers={"x-shop": "1"})
        async with connected(server) as pool:
            there = tools(pool, server)
            assert await call(there["opening_hours"], day="Monday") == "nine to five on Monday"
            changes = Changes(pool)
            process.kill()
            process.wait()
            with serving(port):
                await changes.next()
                assert await call(there["opening_hours"], day="Friday") == "nine to five on Friday"


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (McpServer(["no-such-command-here"]), "there is no command 'no-such-command-here'"),
        (McpServer([sys.executable, "-c", "pass"]), "Connection closed"),
        (McpServer(url="http://127.0.0.1:9/mcp"), "All connection attempts failed"),
    ],
)
async def test_a_server_that_cannot_be_reached_is_named_with_the_reason(
    server: McpServer, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("antiphon.agents.mcp_client.RECONNECT_WAIT_S", 0.01)
    pool = McpPool([server])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pool.run())
        assert await pool.settled(LIMIT_S) == {server.label: reason}
        assert pool.tools(server) == ()
        running.cancel()


async def test_a_call_without_a_server_fails_in_words_that_can_be_spoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.agents.mcp_client.RECONNECT_WAIT_S", 0.01)
    with serving() as (process, port):
        server = McpServer(url=f"http://127.0.0.1:{port}/mcp")
        async with connected(server) as pool:
            there = tools(pool, server)
            process.kill()
            process.wait()
            with pytest.raises(ToolError, match=r"cannot be reached at the moment|did not answer as it should"):
                await call(there["whose"])


async def test_conversations_share_a_server_or_have_one_each() -> None:
    shared, own = by_pipes(), by_pipes(per="session", tools=["whose"])
    agents = [Agent("a", mcp=[shared]), Agent("b", mcp=[own])]
    async with connected(shared) as pool, asyncio.TaskGroup() as group:
        sources = [McpSource(pool) for _ in range(2)]
        running = [group.create_task(source.run()) for source in sources]
        pids: list[set[str]] = []
        for agent in agents:
            for source in sources:
                await source.open(agent)
            found = [next(tool for tool in source.tools(agent) if tool.spec.name == "whose") for source in sources]
            pids.append({(await call(tool)).split()[0] for tool in found})
        assert [len(each) for each in pids] == [1, 2]
        for task in running:
            task.cancel()


async def test_without_the_sdk_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    pool = McpPool([by_pipes()])
    async with asyncio.TaskGroup() as group:
        running = group.create_task(pool.run())
        (reason,) = (await pool.settled(LIMIT_S)).values()
        assert "pip install 'antiphon[mcp]'" in reason
        running.cancel()


def test_what_a_server_prints_beside_its_messages_is_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.mcp")
    logger.addFilter(without_what_came)
    try:
        raise ValueError("input_value='the words of somebody'")
    except ValueError:
        logger.exception("Failed to parse JSONRPC message from server")
    assert caplog.messages == ["Failed to parse JSONRPC message from server (ValueError)"]
    assert "somebody" not in caplog.text
