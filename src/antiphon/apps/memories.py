"""What sessions remember: how much of a conversation a language model is given, and what is kept of it."""

from __future__ import annotations

from contextlib import AsyncExitStack

from antiphon.apps.config import Config
from antiphon.apps.conversation_file import ConversationFile
from antiphon.core.memory import Memory
from antiphon.session.keeping import NOTHING_KEPT, Notebook

_CANNOT_SUMMARIZE = ("alice", "scripted")
"""Engines that answer whatever they are asked."""


async def conversations_of(config: Config, stack: AsyncExitStack) -> ConversationFile | None:
    """Where the configuration wants conversations kept, open until the stack ends. Raises ConfigError."""
    if config.sessions is None:
        return None
    file = ConversationFile(config.sessions, config.sessions_keep_days)
    stack.push_async_callback(file.close)
    await file.open()
    return file


def memory_of(config: Config, notebook: Notebook | None) -> Memory | None:
    """For one session; None where its language model is given everything."""
    kept = notebook.kept if notebook is not None else NOTHING_KEPT
    budget = config.context.budget_tokens
    return Memory(budget, notes=kept.notes, covered=kept.covered) if budget else None


def can_summarize(model: str) -> bool:
    """Whether a language model follows instructions; ``model`` is what clients call it."""
    return model.partition(":")[0] not in _CANNOT_SUMMARIZE
