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
from antiphon.agents.context import Context
from antiphon.agents.hook_runner import END_LIMIT_S, HookRunner
from antiphon.agents.in_charge import InCharge
from antiphon.agents.initiative import Initiative
from antiphon.agents.ledger import Call, Round
from antiphon.agents.overheard import Hearer, overheard
from antiphon.agents.roster import Roster
from antiphon.agents.sources import NoSource, ToolSource
from antiphon.agents.tool_runs import RunHost, ToolRuns, threadsafe
from antiphon.core.actions import State
from antiphon.core.commands import Command, Configure, CreateItem, CreateReply
from antiphon.core.conversation import Item
from antiphon.core.settings import SessionSettings
from antiphon.ids import IdSource, ItemId, ReplyId, TurnId
from antiphon.session.session import Session
from antiphon.transport.base import Outlet

MAX_ROUNDS = 8
"""So many times in a row a model may call tools; then it has to answer with what it has."""

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
        find_model: Callable[[str], str] = str,
        at_work: Callable[[], AbstractContextManager[object]] = nullcontext,
        note: Callable[[str], None] = lambda agent: None,
    ) -> None:
        """``settings.agent`` names who begins. ``find_voice`` and ``find_model`` give the full names of what an agent
        asks for; what ``at_work`` gives is entered while a tool runs. ``note`` is told who has the conversation.
        """
        self._source = source or NoSource()
        self._charge = InCharge(roster, settings, self._source, find_voice=find_voice, find_model=find_model)
        self.shared: dict[str, Any] = {}
        """The ``state`` of the conversation's ``Context``."""
        self._outlet = outlet
        self._session_id = session_id
        self._at_work = at_work
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._ids = IdSource()
        self._initiative = Initiative(self._ids, self._ask, lambda: self._charge.reply(may_call=self._may_call))
        self._runs = ToolRuns(self._run_host(), self._ids)
        self._hooks = HookRunner()
        self._group: asyncio.TaskGroup | None = None
        """While it runs."""
        self._sides: dict[ReplyId, None] = {}
        """Replies beside the conversation, which are the client's alone."""
        self._messages: dict[ReplyId, ItemId] = {}
        self._held: list[CreateReply] = []
        """What the client asked for before our part of the results was there."""
        self._opening: str | None = None
        """What an agent that has just taken over says first, instead of what its model would answer."""
        self._rounds = 0
        self.session = open_session(overheard(outlet, self._hearers()), self._charge.settings(may_call=True))
        if len(self.session.conversation):
            self._initiative.begun()  # the conversation goes on where it was left

    @property
    def agent(self) -> Agent:
        """Who has the conversation."""
        return self._charge.agent

    # From the transport.

    def hear(self, pcm: bytes) -> None:
        self.session.hear(pcm)
        if self._initiative.greets_after(len(pcm)):
            self._initiative.want(self.agent.greeting)

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
                self._initiative.begun()
                self.session.post(self._with_agent(command))
            case CreateItem(item):
                self._initiative.begun()  # whoever writes first needs no greeting
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
                self._note(self.agent.name)
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

    def _ask(self, command: Command) -> None:
        self.session.post(command)

    @property
    def _may_call(self) -> bool:
        return self._rounds < MAX_ROUNDS

    def _with_agent(self, command: CreateReply) -> CreateReply:
        return replace(command, settings=self._charge.joined(command.settings))

    def _configure(self, settings: SessionSettings) -> None:
        wanted = self._charge.configure(settings)
        if wanted is not None:
            self._taken_over(self._charge.give_to(wanted))
        else:
            self._set()
        if self._initiative.greets_now():
            self._initiative.want(self.agent.greeting)

    def _taken_over(self, voice: str) -> None:
        """Another agent has the conversation, from the next reply on."""
        self._outlet.agent(self.agent.name, voice)
        self._note(self.agent.name)
        self._set()

    def _refresh(self) -> None:
        """There are other tools than before."""
        self._charge.refresh()
        self._set()

    def _set(self) -> None:
        self.session.post(Configure(self._charge.settings(may_call=self._may_call)))

    # Hooks.

    def _context(self, call: Call | None = None) -> Context:
        say = threadsafe(self._loop, self._initiative.want)
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
            tool=self._charge.tool,
            context=self._context,
            at_work=self._at_work,
            fillers=lambda: self.agent.fillers,
            say=self._initiative.want,
            put=self.post,
            tell=self._outlet.tool,
            hand_over=self._hand_over,
            called=lambda call: self._hook("on_tool", self.agent.hooks.on_tool, call),
            answered=self._answered,
        )

    async def _hand_over(self, agent: Agent) -> None:
        await self._source.open(agent)
        self._taken_over(self._charge.hand_over(agent))
        self._opening = agent.greeting or None

    def _answered(self, calls: Round) -> None:
        self._rounds += 1
        held, self._held = self._held, []
        for command in held:
            self.session.post(self._with_agent(command))
        self._initiative.leave_texts()
        opening, self._opening = self._opening, None
        if not calls.with_client and not (calls.taken_back and self._initiative.is_answered):
            self._initiative.want(opening)

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
        self._initiative.state(state)

    def _committed(self, turn: TurnId, previous: ItemId | None) -> None:
        self._runs.barged_in()

    def _caption(self, *what: object) -> bool:
        return self._charge.client.transcription

    def _transcribed(self, turn: TurnId, text: str, audio_s: float) -> bool:
        if text:
            self._user_said(text)
        return self._charge.client.transcription

    def _item_added(self, item: Item, previous: ItemId | None) -> None:
        self._runs.item_added(item.id)

    def _reply_began(self, reply: ReplyId) -> None:
        if reply not in self._sides:
            self._initiative.reply_began(reply)

    def _message(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        self._messages[reply] = item

    def _call_told(self, reply: ReplyId, item: ItemId, call_id: str, name: str, delta: str) -> None:
        if reply not in self._sides:
            self._runs.told(reply, call_id, name, delta)

    def _reply_over(self, reply: ReplyId, status: str, reason: str | None, **details: object) -> None:
        side, given = reply in self._sides, self._initiative.is_given(reply)
        self._sides.pop(reply, None)
        self._initiative.forget(reply)
        message = self._messages.pop(reply, None)
        if side or self._group is None:
            return
        if reason == "turn_detected":
            self._runs.barged_in()
        item = self.session.conversation.find(message) if message is not None else None
        if item is not None and (heard := item.heard().strip()):
            self._hook("on_reply", self.agent.hooks.on_reply, heard)
        self._initiative.reply_over(reply)
        self._runs.reply_over(reply, whole=status == "completed", group=self._group)
        self._initiative.want(self.agent.apology if status == "failed" and not given else "")

    def _refused(self, message: str, code: str | None, client_event_id: str | None) -> bool:
        return not self._initiative.refused(client_event_id)
