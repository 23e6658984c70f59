"""The conversation: items in order, and what of them the brain may know, cut to what was heard."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.ids import ItemId


@dataclass(slots=True)
class Spoken:
    """A piece of a reply's transcript and the time of its audio, in ms from the start of the item's audio."""

    text: str
    start_ms: float
    end_ms: float


@dataclass(slots=True)
class Item:
    """One item. Which fields count depends on ``kind``.

    ``content`` holds the client's own parts in wire form (text and images) for items that a client created.
    """

    id: ItemId
    kind: Literal["message", "function_call", "function_call_output"]
    role: Literal["user", "assistant", "system"] | None = None
    status: Literal["in_progress", "completed", "incomplete"] = "completed"
    text: str = ""
    """What was said or written, whole."""
    audio: bool = False
    """It was spoken, by the user or by the agent."""
    content: tuple[dict[str, Any], ...] = ()
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""
    output: str = ""
    pcm: bytes | None = None
    """The user's audio, mono s16 at 16 kHz, while it is kept."""
    spoken: list[Spoken] = field(default_factory=list)
    """When each word of ``text`` sounded, in order; empty for text."""
    heard_ms: float | None = None
    """Where the listener's hearing of it ended; None while nothing was cut."""
