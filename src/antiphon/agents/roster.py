"""The agents of a server, by name: who serves whoever names none, and who may hand over to whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from antiphon.agents.agent import Agent
from antiphon.agents.mcp_server import McpServer
from antiphon.errors import ConfigError


class Roster:
    """All agents that were given and those that they hand over to. Raises ConfigError where they do not fit."""

    def __init__(self, agents: Sequence[Agent], default: str | None = None) -> None:
        """``default`` is the name of the agent that serves whoever names none; the first when it is None."""
        found: dict[str, Agent] = {}
        waiting = list(agents)
        while waiting:
            agent = waiting.pop(0)
            known = found.setdefault(agent.name, agent)
            if known is not agent:
                raise ConfigError(f"there are two agents called {agent.name}: give one of them another name")
            waiting += [each for each in agent.handoffs if isinstance(each, Agent) and found.get(each.name) is not each]
        if not found:
            raise ConfigError("there is no agent")
        first = default if default is not None else next(iter(found))
        if first not in found:
            raise ConfigError(f"there is no agent {first!r}; there are {', '.join(found)}")
        self.agents: Mapping[str, Agent] = MappingProxyType({first: found[first]} | found)
        """The default first."""
        for agent in found.values():
            self.colleagues(agent)

    def __iter__(self) -> Iterator[Agent]:
        return iter(self.agents.values())

    def colleagues(self, agent: Agent) -> tuple[Agent, ...]:
        """To whom it may hand over. Raises ConfigError for a name that nobody has."""
        return tuple(each if isinstance(each, Agent) else self._named(agent, each) for each in agent.handoffs)

    def _named(self, agent: Agent, name: str) -> Agent:
        if name not in self.agents:
            raise ConfigError(f"agent {agent.name}: handoffs: there is no agent {name!r}; {', '.join(self.agents)} are")
        return self.agents[name]

    @property
    def servers(self) -> tuple[McpServer, ...]:
        """All MCP servers, once each."""
        return tuple(dict.fromkeys(server for agent in self for server in agent.mcp))
