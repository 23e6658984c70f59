"""The MCP servers of a server's agents: one connection for all conversations, or one for each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool
from antiphon.agents.mcp_client import McpConnection
from antiphon.agents.mcp_server import McpServer

READY_LIMIT_S = 5.0
"""So long a hand-over waits for the tools of the agent that takes over; they come later otherwise."""


class McpPool:
    """Connections, each a task of ``run``."""

    def __init__(self, servers: Iterable[McpServer] = ()) -> None:
        self._connections = {server: McpConnection(server, self._tell) for server in servers}
        self._followers: dict[object, Callable[[], None]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Keeps the connections until it is cancelled; all are closed then, and what was started has ended."""
        async with asyncio.TaskGroup() as self._group:
            try:
                for connection in self._connections.values():
                    self._group.create_task(connection.run())
                await asyncio.Event().wait()
            finally:
                self._group = None

    def add(self, servers: Iterable[McpServer]) -> None:
        """Has further servers connected. No harm where they are."""
        for server in servers:
            if server not in self._connections:
                connection = self._connections[server] = McpConnection(server, self._tell)
                if self._group is not None:
                    self._group.create_task(connection.run())

    async def settled(self, limit_s: float) -> dict[str, str]:
        """Returns when every server was reached or could not be, or after ``limit_s``: why not, by their labels."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                for connection in tuple(self._connections.values()):
                    await connection.settled.wait()
        return {
            server.label: connection.error or "it has not answered yet"
            for server, connection in self._connections.items()
            if connection.error or not connection.settled.is_set()
        }

    def tools(self, server: McpServer) -> tuple[AgentTool, ...]:
        connection = self._connections.get(server)
        return connection.tools if connection is not None else ()

    def follow(self, changed: Callable[[], None]) -> Callable[[], None]:
        """As ``ToolSource.follow``."""
        key = object()
        self._followers[key] = changed
        return lambda: self._followers.pop(key, None) and None

    def _tell(self) -> None:
        for changed in tuple(self._followers.values()):
            changed()


class McpSource:
    """The tools of MCP servers for one conversation. Implements ``sources.ToolSource``."""

    def __init__(self, shared: McpPool) -> None:
        self._shared = shared
        self._own = McpPool()

    def tools(self, agent: Agent) -> tuple[AgentTool, ...]:
        return tuple(tool for server in agent.mcp for tool in self._pool(server).tools(server))

    def _pool(self, server: McpServer) -> McpPool:
        return self._shared if server.per == "server" else self._own

    async def open(self, agent: Agent) -> None:
        for server in agent.mcp:
            self._pool(server).add([server])
        async with asyncio.TaskGroup() as group:
            for pool in {self._pool(server) for server in agent.mcp}:
                group.create_task(pool.settled(READY_LIMIT_S))

    def follow(self, changed: Callable[[], None]) -> Callable[[], None]:
        unfollow = (self._shared.follow(changed), self._own.follow(changed))

        def end() -> None:
            for each in unfollow:
                each()

        return end

    async def run(self) -> None:
        await self._own.run()
