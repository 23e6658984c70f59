"""An MCP server in a process of its own, for tests: over its standard input and output, or over HTTP on a free port.

python -m tests.shell.mcp_tools [http [PORT]]
"""

from __future__ import annotations

import os
import socket
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("shop")


@server.tool()
def opening_hours(day: str) -> str:
    """Tells when the shop is open on a day.

    Args:
        day: The day of the week.
    """
    return f"nine to five on {day}"


@server.tool(name="stock.count")
async def stock(item: str, context: Context) -> dict[str, int]:
    """Counts what is in stock."""
    await context.report_progress(1, 2, "half of the shelves")
    return {"count": len(item)}


@server.tool()
def broken() -> str:
    """Fails."""
    raise ValueError("the shelf fell over")


@server.tool()
def whose() -> str:
    """Tells which process this is, and what it was given."""
    return f"{os.getpid()} {os.environ.get('SHOP', '')}"


@server.tool()
def crash() -> str:
    """Ends the server in the midst of a call."""
    os._exit(1)


@server.tool()
async def grow(context: Context) -> str:
    """Gives the server another tool."""

    def shrink() -> str:
        """A tool that was not there before."""
        return "small"

    server.add_tool(shrink)
    await context.notify_tools_changed()
    return "grown"


def main() -> None:
    if sys.argv[1:2] != ["http"]:
        server.run("stdio")
        return
    import uvicorn

    listening = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0))
    print(listening.getsockname()[1], flush=True)
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listening])


if __name__ == "__main__":
    main()
