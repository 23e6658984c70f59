"""An agent with functions of its own, with those of an MCP server, and with a colleague to hand over to.

    antiphon talk --agent examples/tools_and_mcp.py

Ask for the ticket price for three people, the opening hours on Thursday, a guided tour, or the lost property office.
"""

import asyncio
import sys
from pathlib import Path
from typing import Literal

from antiphon import Agent, Context, McpServer, ToolError, tool

PRICES = {"adult": 12, "child": 4, "student": 6}


@tool
def ticket_price(people: int, kind: Literal["adult", "child", "student"] = "adult") -> dict[str, object]:
    """Tells the price of tickets.

    Args:
        people: How many tickets.
        kind: Whose tickets they are.
    """
    if people > 50:
        raise ToolError("Groups of more than fifty have to write to us")
    return {"tickets": people, "price": f"{people * PRICES[kind]} euros"}


@tool(filler="Let me look into the calendar.", timeout_s=10, cancel_on_barge_in=True)
async def find_tour(context: Context, language: str = "English") -> str:
    """Finds the next guided tour."""
    context.progress("asking the tour office")
    await asyncio.sleep(2)  # the tour office takes its time
    context.state["tour"] = language
    return f"The next tour in {language} starts at three o'clock."


lost_property = Agent(
    name="lost_property",
    description="lost things, the lost property office",
    instructions="You are the lost property office of a museum. Ask what was lost, where, and when.",
    voice="pico:en-GB",
    greeting="This is the lost property office. What have you lost?",
)

agent = Agent(
    name="museum",
    instructions="You answer the telephone of a museum. Be brief. Use your tools for prices, tours and opening hours.",
    greeting="Hello, this is the museum.",
    tools=[ticket_price, find_tour],
    mcp=[McpServer([sys.executable, str(Path(__file__).with_name("museum_server.py"))])],
    handoffs=[lost_property],
)
