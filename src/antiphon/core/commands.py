"""What a client asks of its session. A transport builds them, the session's loop carries them out in order.

They edit the conversation; what bears on turn-taking is passed on to ``core.turns`` as an event.
``client_event_id`` is named in the error when a command is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.core.conversation import Item
from antiphon.core.settings import ReplySettings, SessionSettings
from antiphon.core.speech import Message
from antiphon.ids import ItemId, ReplyId


@dataclass(frozen=True, slots=True)
class Configure:
    settings: SessionSettings


@dataclass(frozen=True, slots=True)
class CommitBuffer:
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClearBuffer:
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class CreateItem:
    """``previous`` is None for the end of the conversation, ``"root"`` for its front."""

    item: Item
    previous: ItemId | None = None
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteItem:
    item: ItemId
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetrieveItem:
    item: ItemId
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """The client says how much of the item it played."""

    item: ItemId
    content_index: int
    audio_end_ms: int
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ItemReference:
    """An item of the conversation, in the context that a reply brings along."""

    item: ItemId


@dataclass(frozen=True, slots=True)
class Recount:
    """The client is told all items of the conversation, in order, as if each were added now."""

    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class CreateReply:
    """``settings`` are the session's with the response's overrides. ``messages`` replaces the conversation as context
    where it is not None; ``side`` keeps the reply out of the conversation. ``text`` is what to say, where no brain is
    to be asked. ``when_free``: only if nobody speaks and no turn waits for its answer; else it is refused."""

    reply: ReplyId
    settings: ReplySettings
    side: bool = False
    messages: tuple[Message | ItemReference, ...] | None = None
    client_event_id: str | None = None
    text: str | None = None
    when_free: bool = False


@dataclass(frozen=True, slots=True)
class Hold:
    """The client cannot be reached: nothing is played to it until ``GoOn``."""

    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class GoOn:
    """The client is back. No harm if it was not away."""

    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class StopPlayout:
    """Nothing more of what is being heard; no harm where nothing is."""

    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelResponse:
    """``at_pause``: not before the clause that sounds is over. A reply that is sent faster than that is left alone."""

    reply: ReplyId | None = None
    client_event_id: str | None = None
    at_pause: bool = False


Command = (
    Configure
    | CommitBuffer
    | ClearBuffer
    | CreateItem
    | DeleteItem
    | RetrieveItem
    | TruncateItem
    | Recount
    | CreateReply
    | Hold
    | GoOn
    | StopPlayout
    | CancelResponse
)
