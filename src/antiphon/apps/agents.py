"""The agents of a server: put together from the configuration, made ready, and given to its sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import structlog

from antiphon.agents.agent import Agent
from antiphon.agents.loading import load_agents
from antiphon.agents.mcp_client import NO_SDK
from antiphon.agents.mcp_pool import McpPool, McpSource
from antiphon.agents.roster import Roster
from antiphon.agents.runtime import AgentSession, OpenSession
from antiphon.apps.config import Config
from antiphon.core.settings import ReplySettings, SessionSettings
from antiphon.errors import ConfigError
from antiphon.transport.base import Outlet
from antiphon.transport.realtime.offer import Offer, read_model, read_voice
from antiphon.transport.seat import Conversing

MCP_LIMIT_S = 10.0
"""So long a server that starts waits for its MCP servers; their tools come later otherwise."""

_log = structlog.get_logger(__name__)


def roster_of(config: Config, agents: Sequence[Agent] = ()) -> Roster | None:
    """All agents that the configuration names, and ``agents``; None where there is none. Raises ConfigError."""
    found = [*agents, *(section.agent() for section in config.agents)]
    default = config.agent
    if default is not None and _is_file(default):
        loaded = load_agents(Path(default))
        found = [*loaded.agents, *found]
        default = loaded.default.name
    if not found:
        if default is None:
            return None
        raise ConfigError(f"--agent {default}: there are no agents; give a Python file, or describe them in a file")
    try:
        return Roster(found, default)
    except ConfigError as error:
        raise ConfigError(f"agents: {error}") from error


def _is_file(name: str) -> bool:
    return name.endswith(".py") or "/" in name or "\\" in name


class Staff:
    """Who serves the sessions: agents where there are any, else the language model alone."""

    def __init__(self, config: Config, agents: Sequence[Agent] = ()) -> None:
        """Raises ConfigError."""
        self.roster = roster_of(config, agents)
        if self.roster is not None and self.roster.servers and find_spec("mcp") is None:
            raise ConfigError(f"agents: {NO_SDK}")
        self._pool = McpPool(self.roster.servers if self.roster is not None else ())

    @property
    def names(self) -> list[str]:
        """The default first."""
        return list(self.roster.agents) if self.roster is not None else []

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """Within the block its MCP servers are connected, those that can be."""
        running = asyncio.create_task(self._pool.run())  # no TaskGroup: that would wrap what goes wrong in the block
        try:
            for label, reason in (await self._pool.settled(MCP_LIMIT_S)).items():
                _log.warning("an agent begins without the tools of an MCP server", server=label, reason=reason)
            yield
        finally:
            running.cancel()
            await asyncio.wait({running})

    def check(self, offer: Offer) -> None:
        """Raises ConfigError for an agent whose voice or language model is not there."""
        for agent in self.roster or ():
            if agent.voice and agent.voice not in offer.voices and offer.voice_called(agent.voice) is None:
                there_are = ", ".join(offer.voices)
                raise ConfigError(f"agent {agent.name}: there is no voice {agent.voice!r}; there are {there_are}")
            if agent.model and not read_model(agent.model, offer):
                there_are = ", ".join(offer.models)
                raise ConfigError(
                    f"agent {agent.name}: there is no language model {agent.model!r}; there are {there_are}; "
                    "--llm, given several times, names more"
                )

    def offer(self, offer: Offer) -> Offer:
        """The offer with the agents among it."""
        agents = self.roster.agents.values() if self.roster is not None else ()
        models = {agent.name: agent.model for agent in agents if agent.model}
        return replace(offer, agents={agent.name: agent.voice for agent in agents}, agent_models=models)

    def first_reply(self, settings: SessionSettings, offer: Offer) -> ReplySettings:
        """What the first reply of a session will be asked for by, as far as it matters to who gives it."""
        agent = self.roster.agents.get(settings.agent) if self.roster is not None else None
        if agent is None or not agent.model or settings.reply.model:
            return settings.reply
        return replace(settings.reply, model=read_model(agent.model, offer))

    def session(
        self,
        outlet: Outlet,
        settings: SessionSettings,
        session_id: str,
        open_session: OpenSession,
        offer: Offer,
        *,
        at_work: Callable[[], AbstractContextManager[object]] = nullcontext,
        note: Callable[[str], None] = lambda agent: None,
    ) -> Conversing:
        """A session, served by the agent that its settings name, if they name one; ``note`` is told which has it."""
        if self.roster is None or not settings.agent:
            return open_session(outlet, settings)
        return AgentSession(
            self.roster,
            outlet,
            settings,
            open_session,
            session_id=session_id,
            source=McpSource(self._pool),
            find_voice=lambda name: read_voice(name, offer, "voice"),
            find_model=lambda name: read_model(name, offer),
            at_work=at_work,
            note=note,
        )
