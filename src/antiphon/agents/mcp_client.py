"""The connection to one MCP server: made, watched, and made again when it was lost.

The SDK is only imported here, by whoever connects: ``pip install 'antiphon[mcp]'``.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import re
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any

import structlog

from antiphon.agents.base import ToolError
from antiphon.agents.context import Context
from antiphon.agents.mcp_server import McpServer
from antiphon.core.settings import Tool as ToolSpec

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client.session import MessageHandlerFnT
    from mcp.shared.dispatcher import ProgressFnT
    from mcp.types import CallToolResult

log = structlog.get_logger(__name__)

CONNECT_LIMIT_S = 15.0
RECONNECT_WAIT_S = 5.0
"""So long a call waits for a connection that was lost."""
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.2, 30.0
"""Between two attempts to connect; each failure doubles it."""
_MOST_PAGES = 20
_NOT_RUN = "Session terminated"
"""So the SDK says that the server did not know the session, and has done nothing."""

NO_SDK = "MCP servers need the MCP SDK: `pip install 'antiphon[mcp]'`"


class McpTool:
    """A tool of an MCP server, as an agent's model may call it."""

    def __init__(self, connection: McpConnection, name: str, description: str, parameters: dict[str, Any]) -> None:
        self._connection = connection
        self._name = name
        self.spec = ToolSpec(re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64], description, parameters)
        self.timeout_s = connection.server.timeout_s
        self.cancel_on_barge_in = False
        self.fillers: tuple[str, ...] | None = None

    async def call(self, arguments: Mapping[str, Any], context: Context) -> Any:
        return await self._connection.call(self._name, dict(arguments), context)


class McpConnection:
    """``run`` is a task that lives as long as the connection is wanted."""

    def __init__(self, server: McpServer, changed: Callable[[], None]) -> None:
        """``changed`` is called when there are other tools than before."""
        self.server = server
        self.tools: tuple[McpTool, ...] = ()
        """Those of the server when it was last connected."""
        self.error: str | None = None
        """Why there is no connection."""
        self.settled = asyncio.Event()
        """It is known whether the server can be reached."""
        self._changed = changed
        self._client: Client | None = None
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._stale = asyncio.Event()
        """The server has other tools."""
        self._wanted = asyncio.Event()
        """Somebody waits for a connection."""

    async def run(self) -> None:
        """Connects, and again when the connection is lost, until it is cancelled."""
        delay_s = _FIRST_DELAY_S
        while True:
            self._lost.clear()
            try:
                async with self._connecting() as client:
                    if self.error is not None:
                        log.info("an MCP server is back", server=self.server.label, tools=len(self.tools))
                    self._client, self.error = client, None
                    self._connected.set()
                    self.settled.set()
                    delay_s = _FIRST_DELAY_S
                    self._changed()
                    await self._stay(client)
                reason = "the connection was lost"
            except Exception as error:
                reason = _reason(error)
            finally:
                self._client = None
                self._connected.clear()
            if self.error != reason:
                log.warning("an MCP server cannot be reached", server=self.server.label, reason=reason)
            self.error = reason
            self.settled.set()
            self._wanted.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._wanted.wait()
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    @contextlib.asynccontextmanager
    async def _connecting(self) -> AsyncIterator[Client]:
        async with contextlib.AsyncExitStack() as stack:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                client = await stack.enter_async_context(_client(self.server, self._noticed, self._drop))
                self.tools = await self._list(client)
            yield client

    async def _stay(self, client: Client) -> None:
        """Returns when the connection is lost."""
        async with asyncio.TaskGroup() as group:
            listening = group.create_task(self._listen(client))
            refreshing = group.create_task(self._refresh(client))
            await self._lost.wait()
            listening.cancel()
            refreshing.cancel()

    def _drop(self) -> None:
        self._connected.clear()
        self._lost.set()

    async def _listen(self, client: Client) -> None:
        """Servers of the newer protocol are asked to tell of other tools; others do so by themselves."""
        from mcp import MCPError
        from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost

        try:
            async with client.listen(tools_list_changed=True) as changes:
                async for _ in changes:
                    self._stale.set()
        except SubscriptionLost:
            self._drop()
        except (ListenNotSupportedError, MCPError) as error:
            log.debug("an MCP server does not tell of changes", server=self.server.label, reason=str(error))

    async def _noticed(self, message: Any) -> None:
        """What the server tells by itself."""
        if getattr(message, "method", None) == "notifications/tools/list_changed":
            self._stale.set()

    async def _refresh(self, client: Client) -> None:
        while True:
            await self._stale.wait()
            self._stale.clear()
            self.tools = await self._list(client)
            self._changed()

    async def _list(self, client: Client) -> tuple[McpTool, ...]:
        found: list[McpTool] = []
        cursor: str | None = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(cursor=cursor, cache_mode="refresh")
            found += [
                McpTool(self, each.name, inspect.cleandoc(each.description or ""), each.input_schema)
                for each in page.tools
            ]
            cursor = page.next_cursor
            if cursor is None:
                break
        wanted = self.server.tools
        if wanted is None:
            return tuple(found)
        if missing := sorted(set(wanted) - {each._name for each in found}):
            log.warning("an MCP server has no such tools", server=self.server.label, tools=missing)
        return tuple(each for each in found if each._name in wanted)

    # Calls.

    async def call(self, name: str, arguments: dict[str, Any], context: Context) -> Any:
        """Raises ToolError: what the tool says went wrong, or that the server cannot be reached."""
        from mcp import MCPError

        for attempt in range(2):
            client = await self._reached()
            try:
                result = await client.call_tool(name, arguments, progress_callback=_progress(context))
            except MCPError as error:
                self._drop()
                log.warning("an MCP server did not take a call", server=self.server.label, reason=str(error))
                if str(error) == _NOT_RUN and not attempt:
                    continue
                raise ToolError("The service did not answer as it should.") from error
            if result.is_error:
                raise ToolError(_text(result) or "The service says that it failed.")
            return _value(result)
        raise AssertionError("the second attempt returns or raises")

    async def _reached(self) -> Client:
        self._wanted.set()
        try:
            async with asyncio.timeout(RECONNECT_WAIT_S):
                await self._connected.wait()
        except TimeoutError:
            raise ToolError("The service cannot be reached at the moment.") from None
        assert self._client is not None
        return self._client


def _client(server: McpServer, noticed: MessageHandlerFnT, ended: Callable[[], None]) -> Any:
    """The SDK's client, not connected."""
    try:
        from mcp import Client
    except ImportError as error:
        raise RuntimeError(NO_SDK) from error
    return Client(_transport(server, ended), message_handler=noticed, read_timeout_seconds=server.timeout_s)


def without_what_came(record: logging.LogRecord) -> bool:
    """A line that is no message is told without a traceback, which has its words: they may be what somebody said."""
    if record.exc_info is not None:
        kind = record.exc_info[0]
        record.msg, record.args = f"{record.getMessage()} ({kind.__name__ if kind else 'unknown'})", ()
        record.exc_info = None
    return True


@contextlib.asynccontextmanager
async def _transport(server: McpServer, ended: Callable[[], None]) -> AsyncIterator[Any]:
    if server.url is not None:
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        timeout = httpx2.Timeout(CONNECT_LIMIT_S, read=None)  # a stream of news is silent as long as there are none
        async with (
            httpx2.AsyncClient(headers=dict(server.headers), timeout=timeout) as http,
            streamable_http_client(server.url, http_client=http) as streams,
        ):
            yield streams
        return
    from mcp.client.stdio import StdioServerParameters, stdio_client

    logging.getLogger("mcp.client.stdio").addFilter(without_what_came)
    command, *arguments = server.command
    parameters = StdioServerParameters(command=command, args=arguments, env=dict(server.env))
    async with (
        stdio_client(parameters, errlog=sys.__stderr__ or sys.stderr) as (read, write),
        _watched(read, ended) as passed_on,
    ):
        yield passed_on, write


@contextlib.asynccontextmanager
async def _watched(read: Any, ended: Callable[[], None]) -> AsyncIterator[Any]:
    """What comes from ``read``, passed on; ``ended`` is called when no more will come."""
    import anyio

    sending, receiving = anyio.create_memory_object_stream[Any](0)

    async def pass_on() -> None:
        with contextlib.suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            async with sending:
                async for message in read:
                    await sending.send(message)
        ended()

    async with anyio.create_task_group() as group:
        group.start_soon(pass_on)
        try:
            yield receiving
        finally:
            group.cancel_scope.cancel()
            receiving.close()


def _progress(context: Context) -> ProgressFnT:
    async def tell(progress: float, total: float | None, message: str | None) -> None:
        context.progress(message or (f"{progress / total:.0%}" if total else f"{progress:g}"))

    return tell


def _value(result: CallToolResult) -> Any:
    """What the tool returned: as JSON where it gave that, else as text."""
    structured = result.structured_content
    if isinstance(structured, dict) and set(structured) == {"result"}:
        return structured["result"]
    return structured if structured is not None else _text(result)


def _text(result: CallToolResult) -> str:
    parts = [getattr(part, "text", None) or f"({part.type} left out)" for part in result.content]
    return "\n".join(parts).strip()


def _reason(error: BaseException) -> str:
    """The first of what went wrong at once, in one line."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"it did not answer within {CONNECT_LIMIT_S:g} s"
    if isinstance(error, FileNotFoundError):
        return f"there is no command {error.filename!r}"
    return " ".join(str(error).split()) or type(error).__name__
