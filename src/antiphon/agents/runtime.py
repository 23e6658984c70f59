"""The agent of one conversation: a client of its session, in the same process.

It hears what the session tells its client and posts commands as clients do. Calls of its own tools it runs when their
reply is over, puts the results into the conversation, and asks for an answer; calls of the client's tools are the
client's. To the client both are ordinary items.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool
from antiphon.agents.context import Context
from antiphon.agents.hook_runner import END_LIMIT_S, HookRunner
from antiphon.agents.ledger import Call, Round
from antiphon.agents.overheard import Hearer, overheard
from antiphon.agents.roster import Roster
from antiphon.agents.sources import NoSource, ToolSource
from antiphon.agents.tool_runs import RunHost, ToolRuns, threadsafe
from antiphon.agents.toolbox import toolbox, with_agent
from antiphon.agents.turn import AgentTurn, Wish
from antiphon.audio import EAR_RATE_HZ, ms_to_bytes
from antiphon.core.actions import State
from antiphon.core.commands import CancelResponse, Command, Configure, CreateItem, CreateReply
from antiphon.core.conversation import Item
from antiphon.core.settings import Answers, ReplySettings, SessionSettings
from antiphon.ids import IdSource, ItemId, ReplyId, TurnId
from antiphon.session.session import Session
from antiphon.transport.base import Outlet

MAX_ROUNDS = 8
"""So many times in a row a model may call tools; then it has to answer with what it has."""

_GREET_AFTER_BYTES = ms_to_bytes(1000, EAR_RATE_HZ)
"""A client that sends no settings is ready when so much of its audio has come."""
_MARK = "\0agent "
"""No client's event id begins so."""

_MOST_SIDES = 256
"""One that is refused never ends, and is forgotten when so many have been asked for after it."""

OpenSession = Callable[[Outlet, SessionSettings], Session]


class AgentSession:
    """A session and its agent. To a transport it is a session: ``hear``, ``post``, ``close``, ``run``."""

    def __init__(
        self,
        roster: Roster,
        outlet: Outlet,
        settings: SessionSettings,
        open_session: OpenSession,
        *,
        session_id: str = "",
        source: ToolSource | None = None,
        find_voice: Callable[[str], str] = str,
        at_work: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """``settings.agent`` names who begins. ``find_voice`` gives the full name of a voice that an agent asks for;
        what ``at_work`` gives is entered while a tool runs.
        """
        self.agent = roster.agents[settings.agent]
        self.shared: dict[str, Any] = {}
        """The ``state`` of the conversation's ``Context``."""
        self._roster = roster
        self._outlet = outlet
        self._client = settings
        """What the client has set."""
        self._session_id = session_id
        self._source = source or NoSource()
        self._find_voice = find_voice
        self._at_work = at_work
        self._loop = asyncio.get_running_loop()
        self._ids = IdSource()
        self._tools = self._toolbox()
        self._runs = ToolRuns(self._run_host(), self._ids)
        self._turn = AgentTurn()
        self._hooks = HookRunner()
        self._group: asyncio.TaskGroup | None = None
        """While it runs."""
        self._sides: dict[ReplyId, None] = {}
        """Replies beside the conversation, which are the client's alone."""
        self._texts: set[ReplyId] = set()
        """Replies whose words were given."""
        self._messages: dict[ReplyId, ItemId] = {}
        self._held: list[CreateReply] = []
        """What the client asked for before our part of the results was there."""
        self._opening: str | None = None
        """What an agent that has just taken over says first, instead of what its model would answer."""
        self._rounds = 0
        self._unheard_bytes = _GREET_AFTER_BYTES
        """So much more of the user's audio until the greeting; none is left once it was said, or is not wanted."""
        self.session = open_session(overheard(outlet, self._hearers()), self._settings())
        if len(self.session.conversation):
            self._unheard_bytes = 0  # the conversation goes on where it was left

    # From the transport.

    def hear(self, pcm: bytes) -> None:
        self.session.hear(pcm)
        if self._unheard_bytes > 0:
            self._unheard_bytes -= len(pcm)
            if self._unheard_bytes <= 0:
                self._want(self.agent.greeting)

    def post(self, command: Command) -> None:
        match command:
            case Configure(settings):
                self._configure(settings)
            case CreateReply(reply, side=True):
                self._sides[reply] = None
                if len(self._sides) > _MOST_SIDES:
                    del self._sides[next(iter(self._sides))]
                self.session.post(command)
            case CreateReply(messages=None) if self._runs.holds_client:
                self._held.append(command)
            case CreateReply():
                self._unheard_bytes = 0
                self.session.post(self._with_agent(command))
            case CreateItem(item):
                self._unheard_bytes = 0  # whoever writes first needs no greeting
                if item.role == "user" and item.text:
                    self._user_said(item.text)
                self.session.post(command)
            case _:
                self.session.post(command)

    def close(self) -> None:
        self.session.close()

    async def run(self) -> None:
        """As ``Session.run``. Nothing that its tools and hooks have begun is left when it returns."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            sourcing = group.create_task(self._source.run())
            opening = group.create_task(self._source.open(self.agent))
            hooking = group.create_task(self._hooks.run())
            unfollow = self._source.follow(self._refresh)
            try:
                self._outlet.agent(self.agent.name, None)
                self._hook("on_start", self.agent.hooks.on_start)
                await self.session.run()
            finally:
                self._group = None
                unfollow()
                self._runs.close()
                self._hook("on_end", self.agent.hooks.on_end)
                self._hooks.finish()
                await asyncio.wait({hooking}, timeout=END_LIMIT_S)
                hooking.cancel()
                sourcing.cancel()
                opening.cancel()

    # What the conversation is set to.

    def _settings(self) -> SessionSettings:
        settings = replace(self._client, transcription=True, reply=self._reply_settings())
        if self.agent.listening is None:
            return settings
        turn = replace(settings.turn, answers=Answers.LISTENING)
        return replace(settings, turn=turn, listening=self.agent.listening)

    def _reply_settings(self) -> ReplySettings:
        settings = with_agent(self._client.reply, self.agent, self._tools)
        return replace(settings, tool_choice="none") if self._rounds >= MAX_ROUNDS else settings

    def _with_agent(self, command: CreateReply) -> CreateReply:
        return replace(command, settings=with_agent(command.settings, self.agent, self._tools))

    def _configure(self, settings: SessionSettings) -> None:
        asked = self._roster.agents.get(settings.agent)
        changed = settings.agent != self._client.agent
        self._client = settings
        if changed and asked is not None:
            self._switch(asked)
        else:
            self.session.post(Configure(self._settings()))
        if self._unheard_bytes > 0:
            self._unheard_bytes = 0
            self._want(self.agent.greeting)

    def _toolbox(self) -> dict[str, AgentTool]:
        return toolbox(self.agent, self._roster.colleagues(self.agent), self._source.tools(self.agent))

    def _refresh(self) -> None:
        """There are other tools than before."""
        self._tools = self._toolbox()
        self.session.post(Configure(self._settings()))

    def _switch(self, agent: Agent) -> None:
        """From the next reply on another agent has the conversation. One without a voice takes that which there is."""
        self.agent = agent
        voice = self._find_voice(agent.voice) if agent.voice else self._client.reply.voice
        self._client = replace(self._client, agent=agent.name, reply=replace(self._client.reply, voice=voice))
        self._outlet.agent(agent.name, voice)
        self._refresh()

    # What the agent says by itself.

    def _want(self, text: str | None) -> None:
        """To say a text, or, where it is None, what the model answers."""
        if text is None or text.strip():
            self._turn.want(Wish(text))
        self._speak_up()

    def _speak_up(self) -> None:
        if not self._turn.has_come:
            return
        reply = self._ids.reply()
        wish = self._turn.take(reply)
        if wish.text is not None:
            self._texts.add(reply)
        command = CreateReply(
            reply, self._reply_settings(), client_event_id=_MARK + reply, text=wish.text, when_free=True
        )
        self.session.post(command)

    # Hooks.

    def _context(self, call: Call | None = None) -> Context:
        say = threadsafe(self._loop, self._want)
        if call is None:
            return Context(self._session_id, self.agent.name, self.shared, say)
        progress = threadsafe(self._loop, partial(self._outlet.tool, call.id, call.name, "progress"))
        return Context(self._session_id, self.agent.name, self.shared, say, progress)

    def _hook(self, name: str, hook: Callable[..., Any] | None, *values: object) -> None:
        if hook is not None:
            self._hooks.add(name, partial(hook, self._context(), *values))

    def _user_said(self, text: str) -> None:
        self._rounds = 0
        self._hook("on_user", self.agent.hooks.on_user, text)

    # Its tools.

    def _run_host(self) -> RunHost:
        return RunHost(
            tool=self._tool,
            context=self._context,
            at_work=self._at_work,
            fillers=lambda: self.agent.fillers,
            say=self._want,
            put=self.post,
            tell=self._outlet.tool,
            hand_over=self._hand_over,
            called=lambda call: self._hook("on_tool", self.agent.hooks.on_tool, call),
            answered=self._answered,
        )

    def _tool(self, name: str) -> AgentTool | None:
        return self._tools.get(name)

    async def _hand_over(self, agent: Agent) -> None:
        await self._source.open(agent)
        self._switch(agent)
        self._opening = agent.greeting or None

    def _answered(self, calls: Round) -> None:
        self._rounds += 1
        held, self._held = self._held, []
        for command in held:
            self.session.post(self._with_agent(command))
        for reply in self._texts:
            self.session.post(CancelResponse(reply, _MARK + reply, at_pause=True))
        opening, self._opening = self._opening, None
        if not calls.with_client and not (calls.taken_back and self._turn.is_answered):
            self._want(opening)

    # What the session tells.

    def _hearers(self) -> dict[str, Hearer]:
        return {
            "state": self._state_changed,
            "committed": self._committed,
            "transcript_*": self._caption,
            "transcript_completed": self._transcribed,
            "item_added": self._item_added,
            "reply_created": self._reply_began,
            "reply_text": self._message,
            "reply_transcript": self._message,
            "reply_call": self._call_told,
            "reply_done": self._reply_over,
            "refused": self._refused,
        }

    def _state_changed(self, state: State) -> None:
        self._turn.state(state)
        self._speak_up()

    def _committed(self, turn: TurnId, previous: ItemId | None) -> None:
        self._runs.barged_in()

    def _caption(self, *what: object) -> bool:
        return self._client.transcription

    def _transcribed(self, turn: TurnId, text: str, audio_s: float) -> bool:
        if text:
            self._user_said(text)
        return self._client.transcription

    def _item_added(self, item: Item, previous: ItemId | None) -> None:
        self._runs.item_added(item.id)

    def _reply_began(self, reply: ReplyId) -> None:
        if reply not in self._sides:
            self._unheard_bytes = 0
            self._turn.began(reply)

    def _message(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        self._messages[reply] = item

    def _call_told(self, reply: ReplyId, item: ItemId, call_id: str, name: str, delta: str) -> None:
        if reply not in self._sides:
            self._runs.told(reply, call_id, name, delta)

    def _reply_over(self, reply: ReplyId, status: str, reason: str | None, **details: object) -> None:
        side, given = reply in self._sides, reply in self._texts
        self._sides.pop(reply, None)
        self._texts.discard(reply)
        message = self._messages.pop(reply, None)
        if side or self._group is None:
            return
        if reason == "turn_detected":
            self._runs.barged_in()
        item = self.session.conversation.find(message) if message is not None else None
        if item is not None and (heard := item.heard().strip()):
            self._hook("on_reply", self.agent.hooks.on_reply, heard)
        self._turn.over(reply)
        self._runs.reply_over(reply, whole=status == "completed", group=self._group)
        self._want(self.agent.apology if status == "failed" and not given else "")

    def _refused(self, message: str, code: str | None, client_event_id: str | None) -> bool:
        if client_event_id is None or not client_event_id.startswith(_MARK):
            return True
        reply = ReplyId(client_event_id.removeprefix(_MARK))
        self._texts.discard(reply)
        self._turn.refused(reply)
        return False
