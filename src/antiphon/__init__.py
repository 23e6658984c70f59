"""Antiphon: full-duplex voice agents, as a server and as a library."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.agents.agent import Agent, Hooks, ToolCall
    from antiphon.agents.base import ToolError
    from antiphon.agents.context import Context
    from antiphon.agents.mcp_server import McpServer
    from antiphon.agents.tools import tool
    from antiphon.core.settings import ListeningSettings as Listening

__version__ = "0.1.0"

__all__ = ["Agent", "Context", "Hooks", "Listening", "McpServer", "ToolCall", "ToolError", "tool"]

# gRPC stops its threads while a process forks, and calls under way in other threads fail or never end. Our children run
# another program at once and use nothing of it. gRPC reads this when it is first imported.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

_HOMES = {
    "Agent": "agents.agent",
    "Context": "agents.context",
    "Hooks": "agents.agent",
    "Listening": "core.settings",
    "McpServer": "agents.mcp_server",
    "ToolCall": "agents.agent",
    "ToolError": "agents.base",
    "tool": "agents.tools",
}
_NAMES = {"Listening": "ListeningSettings"}


def __getattr__(name: str) -> Any:
    """What agents are made of is imported when it is asked for, so that the command line stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"antiphon.{_HOMES[name]}"), _NAMES.get(name, name))
