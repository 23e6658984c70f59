"""Where tools come from that an agent does not have in its own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool


class ToolSource(Protocol):
    def tools(self, agent: Agent) -> tuple[AgentTool, ...]:
        """Those that are there now. What cannot be reached offers none."""
        ...

    async def open(self, agent: Agent) -> None:
        """Has the tools of an agent made ready that was not known before. Returns within seconds, ready or not."""
        ...

    def follow(self, changed: Callable[[], None]) -> Callable[[], None]:
        """``changed`` is called in the event loop when there are other tools than before, until the call of what is
        returned."""
        ...

    async def run(self) -> None:
        """Lives as long as the conversation, or the server, whose it is, until it is cancelled."""
        ...


class NoSource:
    """For agents that have all their tools with them."""

    def tools(self, agent: Agent) -> tuple[AgentTool, ...]:
        return ()

    async def open(self, agent: Agent) -> None:
        pass

    def follow(self, changed: Callable[[], None]) -> Callable[[], None]:
        return lambda: None

    async def run(self) -> None:
        pass
