"""What a brain that listens has heard, thought and said, in order, and the messages that this makes.

The list only grows at its end, so that what a model has read of it stays as it was: each run of writing is one message
of the assistant, all that was heard since the last one is one of the user. Only what turned out otherwise is changed
where it stands: words that the recognizer takes back, and speech that was cut, which keeps the words that were heard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from antiphon.core.conversation import Item
from antiphon.core.settings import DEFAULT_MAX_WORDS
from antiphon.core.speech import Message
from antiphon.core.writing import Call, Event, Markup, Said, SpeakBegan, SpeakEnded
from antiphon.ids import ItemId, ReplyId, TurnId

SILENCE = "[silence]"
"""Stands where a turn of the user ended."""

PENDING = "(in progress)"
"""Stands for a function's result until it comes."""


@dataclass(slots=True)
class Heard:
    """Words of a turn, of one speaker."""

    turn: TurnId
    speaker: str | None
    words: list[str]
    over: bool = False
    """The turn ended here."""

    @property
    def weight(self) -> int:
        return len(self.words) + 1

    def takes(self, turn: TurnId, speaker: str | None) -> bool:
        """Words that come next belong to it."""
        return not self.over and (self.turn, self.speaker) == (turn, speaker)

    @property
    def line(self) -> str:
        words = " ".join([*self.words, *([SILENCE] if self.over else [])])
        return f"[{self.speaker}]: {words}" if self.speaker and self.words else words


@dataclass(slots=True)
class Piece:
    """A piece of writing, and the reply that it is said or done in."""

    event: Event
    reply: ReplyId | None


@dataclass(slots=True)
class Wrote:
    """One run of writing."""

    pieces: list[Piece] = field(default_factory=list)

    @property
    def weight(self) -> int:
        return sum(piece.event.raw.count(" ") + 1 for piece in self.pieces)


@dataclass(slots=True)
class Noted:
    """An item of the conversation that was neither heard nor written here: typed, a function's result, asked for."""

    item: Item

    @property
    def weight(self) -> int:
        return (self.item.weight_bytes >> 2) + 1


Entry = Heard | Wrote | Noted


class Mind:
    """The context of one listening brain.

    It keeps about ``max_words``; when there are more it forgets the older half.
    """

    def __init__(self, *, mark_silence: bool = False, max_words: int = DEFAULT_MAX_WORDS) -> None:
        """``mark_silence``: the brain is told where a turn of the user ended."""
        self._entries: list[Entry] = []
        self._front: list[Noted] = []
        self._run: Wrote | None = None
        """What is being written. Words that are heard meanwhile stand after it."""
        self._mark_silence = mark_silence
        self._max_words = max_words
        self.version = 0
        """Changes with all that the brain may want to answer to."""

    @property
    def unanswered(self) -> bool:
        """Something came since the last writing that was kept."""
        if not self._entries:
            return False
        last = self._entries[-1]
        return isinstance(last, Heard) or (isinstance(last, Noted) and last.item.role != "assistant")

    # What is heard.

    def hear(self, turn: TurnId, words: tuple[str, ...], speaker: str | None = None) -> None:
        if not words:
            return
        self.version += 1
        last = self._entries[-1] if self._entries else None
        if isinstance(last, Heard) and last.turn == turn:
            last.speaker = last.speaker or speaker  # it takes a while to know a voice
            speaker = speaker or last.speaker
        if isinstance(last, Heard) and last.takes(turn, speaker):
            last.words += words
        else:
            self._entries.append(Heard(turn, speaker, list(words)))

    def retract(self, turn: TurnId, count: int) -> None:
        """The recognizer takes back the last words of a turn."""
        for entry in reversed(self._entries):
            if not count:
                break
            if isinstance(entry, Heard) and entry.turn == turn:
                taken = min(count, len(entry.words))
                del entry.words[len(entry.words) - taken :]
                count -= taken
                self.version += 1
        self._entries = [each for each in self._entries if not isinstance(each, Heard) or each.words or each.over]
        self._clear()

    def drop(self, turn: TurnId) -> None:
        """It was no turn: nothing of it was heard."""
        self._entries = [each for each in self._entries if not isinstance(each, Heard) or each.turn != turn]

    def silence(self, turn: TurnId) -> None:
        """The turn is over, and somebody said something in it."""
        if not self._mark_silence or not any(isinstance(each, Heard) and each.turn == turn for each in self._entries):
            return
        self.version += 1
        last = self._entries[-1]
        if isinstance(last, Heard) and last.turn == turn:
            last.over = True
        else:
            self._entries.append(Heard(turn, None, [], over=True))

    def note(self, item: Item, *, front: bool = False) -> None:
        """An item that came another way. It is read again whenever it is needed, as it is then."""
        if front:
            self._front.append(Noted(item))
        else:
            self._entries.append(Noted(item))
        self.version += 1

    def forget(self, item: ItemId) -> None:
        """The client has deleted an item: typed, or a turn of the user."""
        self._front = [each for each in self._front if each.item.id != item]
        self._entries = [
            each
            for each in self._entries
            if not (isinstance(each, Noted) and each.item.id == item)
            and not (isinstance(each, Heard) and each.turn == item)
        ]

    # What is written.

    def begin(self) -> None:
        """A new run of writing."""
        self._bound()
        self._run = Wrote()
        self._entries.append(self._run)

    def write(self, event: Event, reply: ReplyId | None = None) -> None:
        """The next piece of the run. ``reply`` is given for what is said and for calls."""
        run = self._run
        assert run is not None
        if isinstance(event, Markup) and run.pieces and isinstance(run.pieces[-1].event, SpeakEnded | Markup):
            reply = run.pieces[-1].reply  # the rest of the call that says something
        run.pieces.append(Piece(event, reply))

    def end(self) -> None:
        """The run is over. One in which nothing was written leaves no trace."""
        self._run = None
        self._clear()

    def cut(self, reply: ReplyId, heard: str) -> None:
        """Of what a reply says only ``heard``, its beginning, was heard. Calls were made, and stay."""
        for run in self._entries:
            if isinstance(run, Wrote) and any(piece.reply == reply for piece in run.pieces):
                run.pieces = list(_cut(run.pieces, reply, heard.strip()))
        self._clear()

    def cut_back(self, reply: ReplyId) -> None:
        """The reply is thrown away before anything of it was heard, and with it what was written after it."""
        for index, run in enumerate(self._entries):
            if not isinstance(run, Wrote):
                continue
            for at, piece in enumerate(run.pieces):
                if piece.reply == reply:
                    del run.pieces[at:]
                    self._drop_writing_from(index + 1)
                    self._clear()
                    return

    def _drop_writing_from(self, index: int) -> None:
        while index < len(self._entries) and isinstance(self._entries[index], Wrote):
            del self._entries[index]

    def _clear(self) -> None:
        """Takes away runs in which nothing is left, and joins the words between which they stood."""
        entries: list[Entry] = []
        for entry in self._entries:
            last = entries[-1] if entries else None
            if isinstance(entry, Wrote) and not entry.pieces and entry is not self._run:
                continue
            if isinstance(entry, Heard) and isinstance(last, Heard) and last.takes(entry.turn, entry.speaker):
                last.words += entry.words
                last.over = entry.over
            else:
                entries.append(entry)
        self._entries = entries

    def _bound(self) -> None:
        """Forgets in large steps, so that what is left is read anew only now and then."""
        weight = sum(each.weight for each in self._entries)
        if weight <= self._max_words:
            return
        kept = 0
        while kept < len(self._entries) - 1 and (
            weight > self._max_words // 2 or not isinstance(self._entries[kept], Heard)
        ):
            weight -= self._entries[kept].weight
            kept += 1
        del self._entries[:kept]

    # What a model reads.

    def messages(self) -> tuple[Message, ...]:
        results = {
            each.item.call_id: each.item.output
            for each in self._entries
            if isinstance(each, Noted) and each.item.kind == "function_call_output"
        }
        found = [message for each in self._front if (message := each.item.message()) is not None]
        calls = set[str | None]()
        for entry in self._entries:
            match entry:
                case Heard():
                    _add(found, Message("user", entry.line))
                case Wrote(pieces):
                    for message in _written(pieces, results):
                        calls.add(message.call_id)
                        _add(found, message)
                case Noted(item):
                    if item.kind == "function_call_output" and item.call_id in calls:
                        continue  # it stands behind its call
                    if (message := item.message()) is not None:
                        found.append(message)
        return tuple(found)


def _add(messages: list[Message], message: Message) -> None:
    """Joins it to the last one where both are text of the same side."""
    last = messages[-1] if messages else None
    if last is None or last.role != message.role or last.images or last.call_id or message.call_id:
        messages.append(message)
    else:
        between = "\n" if message.role == "user" else ""
        messages[-1] = replace(last, text=last.text + between + message.text)


def _written(pieces: list[Piece], results: dict[str | None, str]) -> Iterator[Message]:
    text: list[str] = []
    closing = ""
    for piece in pieces:
        match piece.event:
            case Call(name, arguments, _, call_id):
                if "".join(text).strip():
                    yield Message("assistant", "".join(text))
                text.clear()
                yield Message("assistant", call_id=call_id, name=name, arguments=arguments)
                yield Message("tool", results.get(call_id, PENDING), call_id=call_id)
            case SpeakBegan(raw, its_closing):
                closing = its_closing
                text.append(raw)
            case SpeakEnded(raw):
                text.append(raw or closing)
            case event:
                text.append(event.raw)
    if "".join(text).strip():
        yield Message("assistant", "".join(text))


def _cut(pieces: list[Piece], reply: ReplyId, heard: str) -> Iterator[Piece]:
    said = "".join(piece.event.text for piece in pieces if piece.reply == reply and isinstance(piece.event, Said))
    whole = bool(heard) and said.strip() == heard
    began = SpeakBegan("")
    for piece in pieces:
        match piece.event:
            case _ if piece.reply != reply or whole:
                yield piece
            case Call():
                yield piece
            case SpeakBegan() if heard:
                began = piece.event
                raw = json.dumps(heard, ensure_ascii=False)[1:-1] if began.escaped else heard
                yield piece
                yield Piece(Said(heard, raw), reply)
            case SpeakEnded() if heard:
                yield Piece(SpeakEnded(began.closing), reply)
            case _:
                pass
