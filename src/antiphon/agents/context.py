"""What a tool and a hook are given of the conversation that they serve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from antiphon.core.text import valid


def _nowhere(_text: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Context:
    """The conversation as its agent sees it. All methods may be called from any thread.

    A tool that has a parameter of this type gets it there; the model does not see that parameter.
    """

    session_id: str
    agent: str
    """The name of the agent that has the conversation."""
    state: dict[str, Any] = field(default_factory=dict)
    """Whatever the tools and hooks of one conversation want to share; it goes with the conversation."""
    tell_say: Callable[[str], None] = _nowhere
    tell_progress: Callable[[str], None] = _nowhere

    def say(self, text: str) -> None:
        """Has ``text`` spoken as soon as nobody speaks. It is left out if an answer is ready before that."""
        self.tell_say(valid(text))

    def progress(self, text: str) -> None:
        """Shows clients that asked for events of our own how far the call is. It is not spoken."""
        self.tell_progress(valid(text))
