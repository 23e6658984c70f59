"""The replies of a session that have begun and are not over, and how their playout goes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from antiphon.core.shedding import Ahead
from antiphon.ids import ReplyId
from antiphon.session.marks import Answered
from antiphon.session.reply import Reply
from antiphon.session.span import Span


@dataclass(slots=True)
class LiveReply:
    """A reply with the task that makes it."""

    reply: Reply
    task: asyncio.Task[None]
    side: bool = False
    follows: bool = False
    """It speaks in the session's voice, also when that changes."""
    ahead: Ahead = Ahead.VOICE
    """How much of it was to be done before it was wanted,"""
    prepared: bool = False
    """and whether there was such a time."""
    span: Span | None = None
    """What a listening brain says by it."""
    answers: Answered | None = None
    """The turn that it answers,"""
    asked: bool = False
    """and whether the client asked for it."""
    changes: int | None = None
    """Prepared to a turn: how often the conversation had changed when it began to read it."""


class LiveReplies(dict[ReplyId, LiveReply]):
    """By their ids. A playout stands still where turn-taking has paused it, and where the client cannot be reached."""

    def __init__(self) -> None:
        super().__init__()
        self._paused: ReplyId | None = None
        """The one that turn-taking has paused."""
        self._on_hold = False
        """The client cannot be reached."""

    def begin(self, live: LiveReply) -> None:
        """What was wanted begins to be heard."""
        self[live.reply.id] = live
        if self._on_hold:
            live.reply.speaker.pause()
        live.reply.commit()

    def end(self, reply: ReplyId) -> LiveReply:
        self._paused = None if reply == self._paused else self._paused
        return self.pop(reply)

    def let_play_on(self) -> None:
        """A reply whose audio was all sent is not watched any more once the next one begins."""
        for reply, live in tuple(self.items()):
            if not live.side and live.reply.told.done:
                del self[reply]

    def pause(self, reply: ReplyId) -> None:
        self._paused = reply
        self[reply].reply.speaker.pause()

    def resume(self, reply: ReplyId) -> None:
        self._paused = None
        if not self._on_hold:
            self[reply].reply.speaker.resume()

    def hold(self) -> None:
        """Nobody hears what is played: it stops where it is, and what begins waits."""
        self._on_hold = True
        for live in self.values():
            live.reply.speaker.pause()

    def go_on(self) -> None:
        """Plays on, but for what is paused for another reason."""
        if not self._on_hold:
            return
        self._on_hold = False
        for reply, live in tuple(self.items()):
            if reply != self._paused:
                live.reply.speaker.resume()

    def deadline(self) -> float | None:
        """When the playout of a reply that was sent at once will be over."""
        times = [at for live in self.values() if not live.side and (at := live.reply.speaker.deadline())]
        return min(times, default=None)

    def expire(self, now: float) -> None:
        for live in tuple(self.values()):
            at = live.reply.speaker.deadline()
            if not live.side and at is not None and at <= now:
                live.reply.speaker.expire()

    @property
    def playing(self) -> ReplyId | None:
        """The reply of which the client hears the frames as they leave."""
        return next((reply for reply, live in self.items() if live.reply.told.plays), None)

    def refresh_items(self) -> None:
        for live in self.values():
            live.reply.told.refresh_item()
