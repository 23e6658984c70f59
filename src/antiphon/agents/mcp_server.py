"""An MCP server, as an agent names it. ``mcp_client`` is what connects to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from antiphon.agents.base import TIMEOUT_S
from antiphon.errors import ConfigError

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class McpServer:
    """A command to start, whose standard input and output are the line to it, or the URL of a server that runs.

    Equal descriptions are one server. Raises ConfigError for one that cannot be reached by anything.
    """

    command: Sequence[str] = ()
    url: str | None = None
    """That of its streamable HTTP endpoint, as ``http://127.0.0.1:8000/mcp``."""
    env: Mapping[str, str] | Pairs = ()
    """What the command's environment has besides the few variables that every command is given."""
    headers: Mapping[str, str] | Pairs = ()
    """What is sent to the URL with each request, as a key."""
    tools: Sequence[str] | None = None
    """Those that the agent may call; all when it is None."""
    per: Literal["server", "session"] = "server"
    """One connection for all conversations, or one for each."""
    timeout_s: float = TIMEOUT_S
    """How long a call may take."""

    def __post_init__(self) -> None:
        if isinstance(self.command, str):
            raise ConfigError(f"mcp: give the command as a list of words: {self.command.split()}")
        if bool(self.command) == (self.url is not None):
            raise ConfigError("mcp: give either the command that starts a server, or the url of one")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            raise ConfigError(f"mcp: {self.url}: give a URL with http:// or https://")
        for name in ("command", "tools"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("env", "headers"):
            object.__setattr__(self, name, tuple(sorted(dict(getattr(self, name)).items())))

    @property
    def label(self) -> str:
        """What people know it by. A URL is told without what may be secret in it."""
        return self.url.partition("?")[0] if self.url is not None else " ".join(self.command)
