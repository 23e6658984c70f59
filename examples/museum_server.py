"""A small MCP server: what a museum can tell about its days. `examples/tools_and_mcp.py` uses it.

Any MCP server can stand in its place. This one needs `pip install 'antiphon[mcp]'`, which brings the MCP SDK.
"""

from typing import Literal

from mcp.server.mcpserver import MCPServer

server = MCPServer("museum")

Day = Literal["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

HOURS = {"Monday": "closed", "Thursday": "ten until nine"}


@server.tool()
def opening_hours(day: Day) -> str:
    """Tells when the museum is open on a day of the week."""
    hours = HOURS.get(day, "ten until five")
    return f"The museum is closed on {day}." if hours == "closed" else f"On {day} the museum is open from {hours}."


if __name__ == "__main__":
    server.run("stdio")
