"""What the user said: the recognition of each turn, its captions, and its one transcript."""

from __future__ import annotations

import asyncio

import structlog

from antiphon.core.conversation import Conversation, Item
from antiphon.core.events import Event, FinalHeard, PartialHeard
from antiphon.core.segments import Segment
from antiphon.core.settings import SessionSettings
from antiphon.engines.base import Recognizer
from antiphon.errors import EngineError
from antiphon.ids import ItemId, TurnId
from antiphon.session.utterance import Utterance
from antiphon.transport.base import Outlet

log = structlog.get_logger(__name__)

_LONGEST_WAIT_S = 10.0
"""A reply waits for the transcripts of earlier turns no longer than this."""


class Transcripts:
    """All turns whose words are not settled yet."""

    def __init__(
        self, recognizer: Recognizer, conversation: Conversation, outlet: Outlet, settings: SessionSettings
    ) -> None:
        self._recognizer = recognizer
        self._conversation = conversation
        self._outlet = outlet
        self._settings = settings
        self._open: dict[TurnId, Utterance] = {}
        self._words: dict[TurnId, str] = {}
        """The newest words of each open turn."""
        self._speakers: dict[TurnId, str] = {}
        """Who speaks in each open turn, as far as the client was told."""
        self._announced: set[TurnId] = set()
        self._pending: dict[ItemId, Item] = {}
        """Items of the conversation that wait for their transcript."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled = asyncio.Event()
        self._settled.set()

    def configure(self, settings: SessionSettings) -> None:
        self._settings = settings

    def open(self, turn: TurnId, utterance: Utterance) -> None:
        self._open[turn] = utterance

    def words(self, turn: TurnId) -> str:
        """What was heard of a turn so far."""
        return self._words.get(turn, "")

    def segments(self, turn: TurnId) -> tuple[Segment, ...]:
        """The same by who said it, when the final is there."""
        utterance, words = self._open.get(turn), self.words(turn)
        if utterance is not None and utterance.answer == words and utterance.segments:
            return utterance.segments
        return (Segment(None, words, 0, 0),)

    def audio(self, turn: TurnId) -> bytes:
        """What was said in a turn so far, mono s16 at 16 kHz, or the end of it."""
        return bytes(self._open[turn].pcm)

    def announce(self, turn: TurnId) -> None:
        """The client knows of the turn: its captions may be told."""
        self._announced.add(turn)
        if self.words(turn):
            self._caption(turn, self._open[turn].captions.partial(self.words(turn)))

    def transcribe(self, turn: TurnId, revision: int, group: asyncio.TaskGroup) -> None:
        self._open[turn].transcribe(revision, group)

    def note(self, event: Event) -> None:
        """Takes the recognizer's words, before turn-taking does."""
        match event:
            case PartialHeard(turn, text, speaker) if turn in self._open:
                self._words[turn] = text
                if turn in self._announced:
                    self._name(turn, speaker)
                    self._caption(turn, self._open[turn].captions.partial(text))
            case FinalHeard(turn, revision, text, speaker) if turn in self._open:
                self._words[turn] = text or ""
                if turn in self._announced and turn not in self._speakers:
                    self._name(turn, speaker)
                item = self._pending.get(turn)
                if item is not None and revision == self._open[turn].last_revision:
                    self._complete(turn, item, text)
            case _:
                pass

    def commit(self, turn: TurnId, item: Item) -> None:
        """The turn is an item now. Its final has come already, or is on its way."""
        utterance = self._open[turn]
        item.pcm = bytes(utterance.pcm)
        self._announced.add(turn)
        self._pending[turn] = item
        self._settled.clear()
        if utterance.answered_revision == utterance.last_revision:
            self._complete(turn, item, utterance.answer)

    def _complete(self, turn: TurnId, item: Item, text: str | None) -> None:
        utterance = self._open.pop(turn)
        item.text = text or ""
        if text and any(segment.speaker for segment in utterance.segments):
            item.segments = utterance.segments
        item.speech = item.speech and text != ""
        if self._settings.transcription:
            if text is None:
                self._outlet.transcript_failed(turn, "The speech could not be recognized.")
            else:
                self._caption(turn, utterance.captions.final(text))
                for number, segment in enumerate(item.segments):
                    if segment.speaker is not None:
                        self._outlet.transcript_segment(turn, number, segment)
                self._outlet.transcript_completed(turn, text, utterance.audio_ms / 1000)
        self._forget(turn)
        utterance.close()

    def _caption(self, turn: TurnId, delta: str) -> None:
        if delta and self._settings.transcription:
            self._outlet.transcript_delta(turn, delta)

    def _name(self, turn: TurnId, speaker: str | None) -> None:
        if speaker is not None and self._speakers.get(turn) != speaker:
            self._speakers[turn] = speaker
            self._outlet.speaker(turn, speaker)

    def _forget(self, turn: TurnId) -> None:
        self._words.pop(turn, None)
        self._speakers.pop(turn, None)
        self._announced.discard(turn)
        self._pending.pop(turn, None)
        if not self._pending:
            self._settled.set()

    def drop(self, turn: TurnId) -> None:
        self._open.pop(turn).close()
        self._forget(turn)

    async def settled(self, *, hearing: bool = False) -> None:
        """Returns when every committed turn has words, or audio for a brain that hears, or after the longest wait."""
        if hearing and all(item.pcm is not None for item in self._pending.values()):
            return
        try:
            async with asyncio.timeout(_LONGEST_WAIT_S):
                await self._settled.wait()
        except TimeoutError:
            log.warning("a reply starts without the words of an earlier turn", turns=len(self._pending))

    def transcribe_item(self, item: Item, group: asyncio.TaskGroup) -> None:
        """Recognizes audio that came as an item."""
        self._pending[item.id] = item
        self._settled.clear()
        task = group.create_task(self._recognize(item, item.pcm or b""))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _recognize(self, item: Item, pcm: bytes) -> None:
        stream = self._recognizer.open(lambda _: None, self._settings.language)
        try:
            stream.feed(pcm)
            item.text = (await stream.final()).text.strip()
        except EngineError as error:
            log.warning("recognizer failed", item=item.id, error=str(error))
        finally:
            stream.close()
            self._pending.pop(item.id, None)
            if not self._pending:
                self._settled.set()

    def close(self) -> None:
        """Ends every recognition; each committed turn gets its one transcript event."""
        for task in self._tasks:
            task.cancel()
        for turn, item in tuple(self._pending.items()):
            if turn in self._open:
                self._complete(TurnId(turn), item, None)
        for utterance in self._open.values():
            utterance.close()
        self._open.clear()
