"""All that an agent's model may call, by name: its tools, those of its MCP servers, and its colleagues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool
from antiphon.agents.context import Context
from antiphon.core.settings import Tool as ToolSpec

log = structlog.get_logger(__name__)


class HandOver:
    """The tool by which a conversation goes to another agent."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        about = agent.description or f"what {agent.name} is for"
        self.spec = ToolSpec(
            f"transfer_to_{agent.name}",
            f"Hands the conversation over to {agent.name}: {about}",
            {"type": "object", "properties": {}},
        )
        self.timeout_s = 5.0
        self.cancel_on_barge_in = False
        self.fillers: tuple[str, ...] = ()

    async def call(self, arguments: Mapping[str, Any], context: Context) -> Agent:
        return self._agent


def toolbox(agent: Agent, colleagues: Sequence[Agent], elsewhere: Sequence[AgentTool]) -> dict[str, AgentTool]:
    """Where names collide, the agent's own tool is meant, then a colleague, then the MCP server that came first."""
    tools: dict[str, AgentTool] = {}
    for each in (*agent.own_tools, *map(HandOver, colleagues), *elsewhere):
        if each.spec.name in tools:
            log.warning("a tool is left out: there is another of this name", agent=agent.name, tool=each.spec.name)
        else:
            tools[each.spec.name] = each
    return tools
