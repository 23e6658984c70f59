"""The calls of one conversation that are the server's to answer, from the model's words to the result's place in it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import structlog

from antiphon.agents.agent import Agent, ToolCall
from antiphon.agents.base import AgentTool
from antiphon.agents.context import Context
from antiphon.agents.ledger import Call, Ledger, Round
from antiphon.agents.running import CANCELLED, NEVER_RUN, Outcome, failed, run_call
from antiphon.core.commands import CreateItem
from antiphon.core.conversation import Item
from antiphon.errors import ConfigError
from antiphon.ids import IdSource, ItemId, ReplyId
from antiphon.transport.base import ToolStatus

log = structlog.get_logger(__name__)

FILLER_AFTER_S = 0.6
"""A tool that is slower than this is worth a word: a silence longer than people leave between two turns."""
FILLER_EVERY_S = 7.0


@dataclass(frozen=True, slots=True)
class RunHost:
    """What the calls need of their conversation. All is called in the event loop."""

    tool: Callable[[str], AgentTool | None]
    """The tool of this name, if it is the server's."""
    context: Callable[[Call], Context]
    at_work: Callable[[], AbstractContextManager[object]]
    """Entered while a tool runs."""
    fillers: Callable[[], Sequence[str]]
    """What is said while a tool that has nothing of its own to say takes its time."""
    say: Callable[[str], None]
    put: Callable[[CreateItem], None]
    tell: Callable[[str, str, ToolStatus, str], None]
    """As ``Outlet.tool``."""
    hand_over: Callable[[Agent], Awaitable[None]]
    called: Callable[[ToolCall], None]
    """It is over."""
    answered: Callable[[Round], None]
    """All results of the round are in the conversation."""


class ToolRuns:
    def __init__(self, host: RunHost, ids: IdSource) -> None:
        self._host = host
        self._ids = ids
        self._ledger = Ledger()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._frail: set[str] = set()
        """Calls that the user's next words end."""
        self._fillers: dict[ReplyId, asyncio.Task[None]] = {}
        self._outputs: dict[ItemId, tuple[str, Outcome]] = {}
        """The calls whose results are on their way into the conversation."""

    @property
    def holds_client(self) -> bool:
        return self._ledger.holds_client

    def told(self, reply: ReplyId, call_id: str, name: str, arguments: str) -> None:
        """A piece of a call's arguments."""
        self._ledger.told(reply, call_id, name, arguments)

    def reply_over(self, reply: ReplyId, *, whole: bool, group: asyncio.TaskGroup) -> None:
        """Begins what a reply has called for, or takes it all back where the reply was not told to its end."""
        if not whole:
            for call in self._ledger.taken_back(reply, self._is_ours):
                self._put(call, NEVER_RUN)
            return
        calls = self._ledger.reply_over(reply, self._is_ours)
        if calls is None:
            return
        fillers: Sequence[str] | None = None
        for call in calls.ours.values():
            tool = self._host.tool(call.name)
            assert tool is not None
            fillers = fillers or tool.fillers
            if tool.cancel_on_barge_in:
                self._frail.add(call.id)
            self._host.tell(call.id, call.name, "running", "")
            self._running[call.id] = group.create_task(self._run(tool, call))
        if fillers := self._host.fillers() if fillers is None else fillers:
            self._fillers[reply] = group.create_task(self._fill(fillers))

    def _is_ours(self, name: str) -> bool:
        return self._host.tool(name) is not None

    def barged_in(self) -> None:
        """The user has taken the floor."""
        for call_id in tuple(self._frail):
            if (task := self._running.get(call_id)) is not None:
                task.cancel()

    def item_added(self, item: ItemId) -> None:
        """An item is in the conversation. It may be the result that others have waited for."""
        if item not in self._outputs:
            return
        call_id, outcome = self._outputs.pop(item)
        calls = self._ledger.answered(call_id, run=not outcome.cancelled)
        if calls is not None:
            self._stop_filling(calls.reply)
            self._host.answered(calls)

    def close(self) -> None:
        """Nothing more is begun, said or put into the conversation."""
        for task in (*self._running.values(), *self._fillers.values()):
            task.cancel()
        self._running.clear()
        self._fillers.clear()

    async def _run(self, tool: AgentTool, call: Call) -> None:
        try:
            with self._host.at_work():
                outcome = await run_call(tool, call, self._host.context(call))
            if outcome.agent is not None:
                outcome = await self._handed_over(outcome, outcome.agent)
        except asyncio.CancelledError:
            if call.id not in self._running:
                raise  # the conversation is over
            outcome = CANCELLED
        self._running.pop(call.id, None)
        self._frail.discard(call.id)
        self._put(call, outcome)

    async def _handed_over(self, outcome: Outcome, agent: Agent) -> Outcome:
        try:
            await self._host.hand_over(agent)
        except ConfigError as error:
            log.error("a conversation cannot go to an agent that a tool has returned", reason=str(error))
            return failed()
        return outcome

    def _put(self, call: Call, outcome: Outcome) -> None:
        item = Item(self._ids.item(), "function_call_output", call_id=call.id, output=outcome.output)
        self._outputs[item.id] = (call.id, outcome)
        self._host.put(CreateItem(item))
        status: ToolStatus = "cancelled" if outcome.cancelled else "failed" if outcome.error else "completed"
        self._host.tell(call.id, call.name, status, outcome.error or "")
        self._host.called(ToolCall(call.name, call.arguments, outcome.output, outcome.error))

    async def _fill(self, fillers: Sequence[str]) -> None:
        for index, text in enumerate(fillers):
            await asyncio.sleep(FILLER_EVERY_S if index else FILLER_AFTER_S)
            self._host.say(text)

    def _stop_filling(self, reply: ReplyId) -> None:
        if (filling := self._fillers.pop(reply, None)) is not None:
            filling.cancel()


def threadsafe(loop: asyncio.AbstractEventLoop, function: Callable[[str], None]) -> Callable[[str], None]:
    """``function`` for callers in any thread; nothing once the loop is closed."""

    def call(text: str) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(function, text)

    return call
