"""``Agent``: who answers in a conversation, with what tools, and what it may do beside."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from antiphon.agents.base import AgentTool
from antiphon.agents.context import Context
from antiphon.agents.tools import FunctionTool
from antiphon.core.settings import ListeningSettings
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from antiphon.agents.mcp_server import McpServer

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
"""A name becomes part of a function's name, which OpenAI limits to these characters and 64 of them."""

FILLERS = ("One moment, please.",)
APOLOGY = "I am sorry, something went wrong. Could you say that again?"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that is over. ``error`` says why it failed, and is None where it did not."""

    name: str
    arguments: str
    output: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Hooks:
    """What is called as the conversation goes on, one after the other, beside it: nothing waits for a hook.

    One that fails or takes longer than 5 s is logged, and changes nothing.
    """

    on_start: Callable[[Context], Awaitable[None]] | None = None
    on_user: Callable[[Context, str], Awaitable[None]] | None = None
    """The words of each turn of the user, spoken or written."""
    on_reply: Callable[[Context, str], Awaitable[None]] | None = None
    """What was heard of each reply, when it is over."""
    on_tool: Callable[[Context, ToolCall], Awaitable[None]] | None = None
    on_end: Callable[[Context], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """Who answers. One value serves all conversations; what belongs to one is in the ``Context``.

    Raises ConfigError for what cannot serve.
    """

    name: str
    instructions: str = ""
    """What the model is told to be. What a client instructs comes after it."""
    voice: str | None = None
    """The voice that it speaks in, by its name or as ``engine:voice``; that of the server when it is None."""
    model: str | None = None
    """The language model that answers for it, by its name; the server's default, or the client's choice, when None."""
    greeting: str = ""
    """What it says first: before the user says anything, and when it takes over."""
    tools: Sequence[AgentTool | Callable[..., Any]] = ()
    """What its model may call. Plain functions are taken as ``@tool`` takes them."""
    mcp: Sequence[McpServer] = ()
    """MCP servers whose tools are its own too."""
    handoffs: Sequence[Agent | str] = ()
    """Whom its model may hand the conversation over to. A name is that of another agent of the same server."""
    description: str = ""
    """When to hand over to it, for the model of another agent."""
    fillers: Sequence[str] = FILLERS
    """What is said while a tool takes its time: one after the other, the first soon, the next every few seconds."""
    apology: str = APOLOGY
    """What is said when the model itself has failed."""
    listening: ListeningSettings | None = None
    """How its model listens, where it is to read the words as they are spoken, and to speak when it wants to. Where it
    is None, the server's settings say whether the model listens."""
    hooks: Hooks = field(default_factory=Hooks)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(f"agent {self.name!r}: a name has letters, digits, _ and -, 40 of them at most")
        made = tuple(each if isinstance(each, AgentTool) else _function(self.name, each) for each in self.tools)
        names = [each.spec.name for each in made]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ConfigError(f"agent {self.name}: there are several tools called {', '.join(twice)}")
        for name in ("mcp", "handoffs", "fillers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "tools", made)

    @property
    def own_tools(self) -> tuple[AgentTool, ...]:
        return tuple(each for each in self.tools if isinstance(each, AgentTool))


def _function(agent: str, given: object) -> FunctionTool:
    if not callable(given):
        raise ConfigError(f"agent {agent}: {given!r} is no tool; give functions, or what @tool makes of them")
    return FunctionTool(given)
