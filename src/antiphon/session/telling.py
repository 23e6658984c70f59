"""What the client is told of a reply, and the items of the conversation that keep it."""

from __future__ import annotations

from antiphon.core.actions import CancelReason
from antiphon.core.conversation import Item
from antiphon.core.events import Outcome
from antiphon.core.speech import Finish, ToolCallDelta
from antiphon.ids import IdSource, ItemId, ReplyId
from antiphon.session.narration import Narration
from antiphon.session.reply_host import ReplyHost
from antiphon.transport.base import Outlet


class Telling:
    """Of one reply. Nothing may be told before ``begin``, and nothing is after it was ``cut``, but its end.

    ``audio``: it is spoken, in the words of the ``narration``; otherwise it is text.
    """

    def __init__(
        self, reply: ReplyId, outlet: Outlet, host: ReplyHost, ids: IdSource, narration: Narration, *, audio: bool
    ) -> None:
        self.id = reply
        self.item: Item | None = None
        self.done = False
        self.cut = False
        """It was cancelled. Its tasks end a moment later: what they still bring is not told."""
        self.plays = False
        """Frames of it leave on the server's clock, and its first has left."""
        self._message: ItemId | None = None
        self._outlet = outlet
        self._host = host
        self._ids = ids
        self._narration = narration
        self._audio = audio
        self._calls: dict[str, Item] = {}
        self._untold_calls: list[ToolCallDelta] = []

    def begin(self, model: str | None) -> None:
        """``model`` is the language model that answers, if it was asked yet."""
        self._outlet.reply_created(self.id)
        if model is not None:
            self.brain(model)

    def brain(self, model: str) -> None:
        self._outlet.brain(self.id, model)

    def voice(self, name: str) -> None:
        if not self.cut:
            self._outlet.voice(self.id, self._message_id(), name)

    def clause(self, text: str) -> None:
        if not self.cut:
            self._outlet.clause(self.id, self._message_id(), text)

    def audio(self, pcm: bytes) -> None:
        self._outlet.reply_audio(self.id, self._message_item().id, pcm)

    def words(self, text: str) -> None:
        """Of the narration."""
        if text:
            self._outlet.reply_transcript(self.id, self._message_item().id, text)

    def text(self, text: str) -> None:
        """Of a reply that is not spoken."""
        if not self.cut:
            item = self._message_item()
            item.text += text
            self._outlet.reply_text(self.id, item.id, text)

    def call(self, delta: ToolCallDelta, *, after_speech: bool) -> None:
        """A call is told at once, or after the speech that came before it."""
        if self.cut:
            return
        if after_speech:
            self._untold_calls.append(delta)
        else:
            self._tell_call(delta)

    def _tell_call(self, delta: ToolCallDelta) -> None:
        item = self._calls.get(delta.call_id)
        if item is None:
            item = Item(self._ids.item(), "function_call", status="in_progress", call_id=delta.call_id, name=delta.name)
            self._calls[delta.call_id] = item
            self._host.add_item(item)
        item.arguments += delta.arguments
        self._outlet.reply_call(self.id, item.id, delta.call_id, item.name or "", delta.arguments)

    def reached(self, heard_ms: float) -> None:
        """The playout has come to this place."""
        self.words(self._narration.tell_until(heard_ms))
        if not self.plays:
            self.words(self._narration.tell_first())  # the protocol has words before sound
            self.plays = True
            self._outlet.playout_started(self.id)

    # Its end.

    def conclude(self, outcome: Outcome, error: str | None, finish: Finish) -> None:
        """Tells it, after all else of it was told."""
        if self.done:
            return
        self.done = True
        if outcome is not Outcome.FAILED:
            self.words(self._narration.tell_all())
        for delta in self._untold_calls:
            self._tell_call(delta)
        self.refresh_item()
        if self.item is not None:
            if outcome is Outcome.FAILED and self._audio:
                self.item.heard_ms = self._narration.audio_ms  # the rest was never spoken
            self.item.status = "completed" if outcome is Outcome.COMPLETED else "incomplete"
        for call in self._calls.values():
            call.status = "completed"
        reason = "max_output_tokens" if outcome is Outcome.INCOMPLETE else None
        tokens = {"input_tokens": finish.input_tokens, "output_tokens": finish.output_tokens}
        self._outlet.reply_done(self.id, outcome.value, reason, error=error, **tokens)
        if self.plays:
            self.plays = False
            self._outlet.playout_stopped(self.id)

    def cancel(self, reason: CancelReason, heard_ms: float) -> None:
        """Cuts its item to what was heard. Its end may have been told already."""
        self.refresh_item()
        if self.item is not None:
            if self._audio and not (self.done and heard_ms >= self.item.audio_ms):
                self.item.heard_ms = heard_ms
            if not self.done:
                self.item.status = "incomplete"
        if not self.done:
            self.done = True
            told = "client_cancelled" if reason is CancelReason.CLIENT_CANCELLED else "turn_detected"
            self._outlet.reply_done(self.id, "cancelled", told)
        if self.plays:
            self.plays = False
            self._outlet.playout_cut(self.id, self._message_id(), round(heard_ms))

    # Its item.

    def refresh_item(self) -> None:
        """Brings the item up to date with what was spoken; it is costly, so only done when somebody will read it."""
        if self.item is not None and self._audio:
            self.item.text = self._narration.text
            self.item.spoken = self._narration.timeline()

    def _message_id(self) -> ItemId:
        """The item's, which may not be there yet: a client is told of it before it hears it."""
        self._message = self._message or self._ids.item()
        return self._message

    def _message_item(self) -> Item:
        if self.item is None:
            self.item = Item(self._message_id(), "message", "assistant", status="in_progress", audio=self._audio)
            self._host.add_item(self.item)
        return self.item
