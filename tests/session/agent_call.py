"""A scripted caller in a session that an agent serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from antiphon.agents.agent import Agent
from antiphon.agents.roster import Roster
from antiphon.agents.runtime import AgentSession
from antiphon.agents.sources import ToolSource
from antiphon.core.commands import Command
from antiphon.core.conversation import Conversation, Item
from antiphon.core.settings import SessionSettings, TurnSettings
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource
from antiphon.session.meter import Recorder
from antiphon.session.session import Session
from antiphon.sim.caller import Caller, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.outlet import RecordingOutlet
from antiphon.transport.base import Outlet


class _Served:
    """An agent's session with what a ``Caller`` uses of a session."""

    def __init__(self, agents: AgentSession) -> None:
        self.agents = agents
        self.ids = IdSource(7)
        self.commands: list[Command] = []

    @property
    def conversation(self) -> Conversation:
        return self.agents.session.conversation

    def hear(self, pcm: bytes) -> None:
        self.agents.hear(pcm)

    def post(self, command: Command) -> None:
        self.commands.append(command)
        self.agents.post(command)


class AgentCaller(Caller):
    @property
    def agents(self) -> AgentSession:
        return cast(_Served, self.session).agents

    def outputs(self) -> list[str]:
        """The results of functions that the conversation has."""
        return [text for role, text in self.context() if role == "tool"]

    async def said(self, count: int) -> list[str]:
        """Waits for so many replies to be over, and returns what was said in each."""
        replies: list[HeardReply] = [await self.answer() for _ in range(count)]
        return [reply.transcript.strip() for reply in replies]


@asynccontextmanager
async def agent_call(
    *agents: Agent,
    suite: Suite | None = None,
    paced: bool = True,
    transcription: bool = True,
    source: ToolSource | None = None,
    settings: SessionSettings | None = None,
    recorder: Recorder | None = None,
    seed: int = 1,
    history: Sequence[Item] = (),
) -> AsyncIterator[AgentCaller]:
    """A session that the first agent serves, with a caller in it, closed at the end. It begins with ``history``."""
    chosen = settings or SessionSettings(
        turn=TurnSettings(paced=paced), transcription=transcription, agent=agents[0].name
    )
    outlet = RecordingOutlet()

    def open_session(outlet: Outlet, settings: SessionSettings) -> Session:
        session = Session(suite or scripted_suite(), outlet, settings, ids=IdSource(seed), recorder=recorder)
        for item in history:
            session.conversation.add(item)
        return session

    served = AgentSession(Roster(agents), outlet, chosen, open_session, session_id="sess_1", source=source)
    caller = AgentCaller(cast(Session, _Served(served)), outlet)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(served.run(), name="session")
        microphone = group.create_task(caller.microphone(), name="microphone")
        try:
            yield caller
        finally:
            microphone.cancel()
            served.close()
            await running
