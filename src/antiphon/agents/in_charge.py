"""Who has a conversation, and what its session is set to by that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool
from antiphon.agents.roster import Roster
from antiphon.agents.sources import ToolSource
from antiphon.agents.toolbox import toolbox
from antiphon.core.settings import Answers, ReplySettings, SessionSettings


class InCharge:
    """What the client has set, and what the agent is, as one: the settings of a session and of its replies."""

    def __init__(
        self,
        roster: Roster,
        client: SessionSettings,
        source: ToolSource,
        *,
        find_voice: Callable[[str], str] = str,
        find_model: Callable[[str], str] = str,
    ) -> None:
        """``client.agent`` names who begins. ``find_voice`` and ``find_model`` give the full names of what an agent
        asks for.
        """
        self.agent = roster.agents[client.agent]
        self.client = client
        """What the client has set."""
        self._roster = roster
        self._source = source
        self._find_voice = find_voice
        self._find_model = find_model
        self._tools: dict[str, AgentTool] = {}
        self.refresh()

    def refresh(self) -> None:
        """There are other tools than before."""
        self._tools = self._tools_of(self.agent)

    def _tools_of(self, agent: Agent) -> dict[str, AgentTool]:
        return toolbox(agent, self._roster.colleagues(agent), self._source.tools(agent))

    def tool(self, name: str) -> AgentTool | None:
        """The tool of this name, if it is the server's."""
        return self._tools.get(name)

    # Who has it.

    def configure(self, settings: SessionSettings) -> Agent | None:
        """The client's settings are others; gives the agent that it wants from now on, where that is another one."""
        wanted = self._roster.agents.get(settings.agent) if settings.agent != self.client.agent else None
        self.client = settings
        return wanted

    def give_to(self, agent: Agent) -> str:
        """From the next reply on it is that agent's. Returns its voice: one without takes that which there is.

        Raises ConfigError, and has changed nothing, for one that would hand over to nobody that there is.
        """
        tools = self._tools_of(agent)
        voice = self._find_voice(agent.voice) if agent.voice else self.client.reply.voice
        self.agent = agent
        self.client = replace(self.client, agent=agent.name, reply=replace(self.client.reply, voice=voice))
        self._tools = tools
        return voice

    def hand_over(self, agent: Agent) -> str:
        """As ``give_to``, by the agent itself: whom it goes to answers by its own model, whatever the client chose."""
        voice = self.give_to(agent)
        if agent.model:
            self.client = replace(self.client, reply=replace(self.client.reply, model=""))
        return voice

    # What that comes to.

    def settings(self, *, may_call: bool) -> SessionSettings:
        """The session's. ``may_call``: the model may call tools."""
        settings = replace(self.client, transcription=True, reply=self.reply(may_call=may_call))
        if self.agent.listening is None:
            return settings
        turn = replace(settings.turn, answers=Answers.LISTENING)
        return replace(settings, turn=turn, listening=self.agent.listening)

    def reply(self, *, may_call: bool) -> ReplySettings:
        """Of a reply for which the client wants nothing of its own."""
        settings = self.joined(self.client.reply)
        return settings if may_call else replace(settings, tool_choice="none")

    def joined(self, client: ReplySettings) -> ReplySettings:
        """What the client set for a reply, and what the agent is: its instructions before the client's, its tools
        beside them, its model where the client has chosen none."""
        theirs = tuple(each for each in client.tools if each.name not in self._tools)
        ours = tuple(each.spec for each in self._tools.values())
        instructions = "\n\n".join(text for text in (self.agent.instructions, client.instructions) if text)
        model = client.model or (self._find_model(self.agent.model) if self.agent.model else "")
        return replace(client, instructions=instructions, tools=(*ours, *theirs), model=model)
