"""The recognition of one turn, with a recognizer that says what the test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from antiphon.audio import EAR_RATE_HZ, ms_to_bytes
from antiphon.core.events import FinalHeard, PartialHeard
from antiphon.engines.base import RecognizerStream, Transcript
from antiphon.engines.scripted import ScriptedRecognizer
from antiphon.ids import ItemId, TurnId
from antiphon.session.utterance import Utterance
from antiphon.sim.virtual_time import run_virtual

TURN = TurnId(ItemId("item_1"))


class Dictated(ScriptedRecognizer):
    """Has one stream, which says what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.finals: list[str] = []

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        self.guess = on_partial
        return _Stream(self.finals)


class _Stream:
    def __init__(self, finals: list[str]) -> None:
        self._finals = finals

    def feed(self, pcm: bytes) -> None: ...

    async def final(self) -> Transcript:
        return Transcript(self._finals.pop(0))

    def close(self) -> None: ...


def heard(*rounds: tuple[Sequence[str], str], audio_ms: int = 700) -> list[str | None]:
    """The finals that are posted, each after some guesses and what the recognizer finds in the end."""
    events: list[PartialHeard | FinalHeard] = []

    async def main() -> None:
        engine = Dictated()
        utterance = Utterance(engine, None, events.append)
        utterance.name(TURN)
        utterance.feed(bytes(ms_to_bytes(audio_ms, EAR_RATE_HZ)))
        for revision, (guesses, final) in enumerate(rounds, 1):
            for guess in guesses:
                engine.guess(guess)
            engine.finals.append(final)
            async with asyncio.TaskGroup() as group:
                utterance.transcribe(revision, group)
            assert utterance.answer == events[-1].text
            assert "".join(segment.text for segment in utterance.segments) == (events[-1].text or "")
        utterance.close()

    run_virtual(main())
    return [event.text for event in events if isinstance(event, FinalHeard)]


def test_the_final_is_what_counts() -> None:
    assert heard((["how dumb"], "how old are you?")) == ["how old are you?"]
    assert heard((["how old are you"], " how ")) == ["how"]


@pytest.mark.parametrize("guesses", [["on the red dot"], ["on the", "on the red dot"], ["on the red dot", ""]])
def test_words_that_were_heard_stand_where_the_final_has_none(guesses: list[str]) -> None:
    assert heard((guesses, " ")) == ["on the red dot"]


@pytest.mark.parametrize("guesses", [[], ["um"], ["on the red dot", "um"]])
def test_a_sound_that_never_had_words_has_none(guesses: list[str]) -> None:
    assert heard((guesses, "")) == [""]


@pytest.mark.parametrize(("guesses", "final"), [(["how"], "how"), (["and", "how"], "how"), ([], "")])
def test_of_a_long_sound_one_word_is_enough(guesses: list[str], final: str) -> None:
    assert heard((guesses, ""), audio_ms=1200) == [final]


def test_a_later_pause_takes_nothing_back_either() -> None:
    assert heard((["are you"], "are you there?"), ([], "")) == ["are you there?", "are you there?"]
