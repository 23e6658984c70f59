"""Agents in the configuration: the section ``agents``, a list."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from antiphon.agents.agent import APOLOGY, FILLERS, Agent
from antiphon.agents.base import TIMEOUT_S
from antiphon.agents.loading import find
from antiphon.agents.mcp_server import McpServer
from antiphon.apps.config_session import Section
from antiphon.core.settings import DEFAULT_MAX_WORDS, ListeningSettings
from antiphon.core.waitk import DEFAULT_K, DEFAULT_LEAD_WORDS
from antiphon.errors import ConfigError


class McpSection(Section):
    """An MCP server."""

    command: tuple[str, ...] = ()
    """What starts it, word by word; its standard input and output are the line to it."""
    url: str | None = None
    """The streamable HTTP endpoint of one that runs elsewhere."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables for the command."""
    headers: dict[str, str] = Field(default_factory=dict)
    """What the endpoint is sent with each request, as a key."""
    tools: tuple[str, ...] | None = None
    """Those that the agent may call; all when it is not set."""
    per: Literal["server", "session"] = "server"
    """One connection for all conversations, or one for each."""
    timeout_s: PositiveFloat = TIMEOUT_S
    """How long a call may take."""

    @model_validator(mode="after")
    def _reachable(self) -> McpSection:
        try:
            self.server()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def server(self) -> McpServer:
        return McpServer(**self.model_dump())


class McpTools(Section):
    """An entry of ``tools`` that is an MCP server."""

    mcp: McpSection


class ListeningSection(Section):
    """A model that reads the words as they are spoken."""

    wait_k: PositiveInt = DEFAULT_K
    """It may write its first word when it has read so many, and each further one a word later."""
    lead_words: PositiveInt = DEFAULT_LEAD_WORDS
    """While the user speaks it writes no more than so many words on end."""
    speak_tool: bool = False
    """Only what it says by the tool `speak` is public."""
    thoughts: bool = False
    """Show clients that ask for `events=antiphon` what is private."""
    max_words: int = Field(default=DEFAULT_MAX_WORDS, ge=100, le=1_000_000)
    """How many words of the conversation it keeps; when there are more, the older half is forgotten."""


class AgentSection(Section):
    """Who answers in a conversation."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")
    """By which clients and other agents know it."""
    instructions: str = ""
    """What the language model is told to be."""
    voice: str | None = None
    """The voice that it speaks in; that of the session when it is not set."""
    model: str | None = None
    """The language model that answers for it, one of `llm`; the first when it is not set."""
    greeting: str = ""
    """What it says first."""
    description: str = ""
    """When to hand over to it, for other agents."""
    tools: tuple[str | McpTools, ...] = ()
    """Functions, as `module:function` or `FILE.py:function`, and MCP servers, as `mcp: {...}`."""
    handoffs: tuple[str, ...] = ()
    """The agents that it may hand over to."""
    fillers: tuple[str, ...] = FILLERS
    """What it says while a tool takes its time."""
    apology: str = APOLOGY
    """What it says when the language model has failed."""
    listening: ListeningSection | None = None
    """How its model listens; when it is not set, as the server is set to."""

    def agent(self) -> Agent:
        """Raises ConfigError for a tool that cannot be found."""
        given = self.model_dump(exclude={"tools", "listening"})
        listening = None if self.listening is None else ListeningSettings(**self.listening.model_dump())
        functions = [find(each) for each in self.tools if isinstance(each, str)]
        servers = [each.mcp.server() for each in self.tools if isinstance(each, McpTools)]
        return Agent(**given, tools=functions, mcp=servers, listening=listening)
