"""The ear: audio in, edges and turns out, in media time, however the audio comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from antiphon.audio import EAR_RATE_HZ, Samples, ms_to_bytes
from antiphon.core.events import FinalHeard, PartialHeard, SpeechPaused, SpeechStarted
from antiphon.core.settings import Detection, SessionSettings, TurnSettings
from antiphon.engines.scripted import ScriptedRecognizer, ScriptedVad
from antiphon.engines.tone_code import GAP_MS, encode
from antiphon.errors import ProtocolError
from antiphon.ids import TurnId
from antiphon.session.hearing import Hearing
from antiphon.sim.virtual_time import run_virtual

Heard = SpeechStarted | SpeechPaused | PartialHeard | FinalHeard


def silence(ms: int) -> bytes:
    return bytes(ms_to_bytes(ms, EAR_RATE_HZ))


def speech(text: str) -> bytes:
    return encode(text, EAR_RATE_HZ)


class LateVad(ScriptedVad):
    """Answers in the next turn of the event loop, as a VAD with a thread does."""

    def open(self, on_probability: Callable[[float], None]):  # type: ignore[no-untyped-def]
        loop = asyncio.get_running_loop()
        return super().open(lambda probability: loop.call_soon(on_probability, probability))  # type: ignore[arg-type]


class Ear:
    """A hearing whose every edge opens or ends a turn, as the turn table would."""

    def __init__(self, settings: SessionSettings, vad: ScriptedVad) -> None:
        self.heard: list[Heard] = []
        self.turns: list[TurnId] = []
        self.finals: dict[TurnId, str] = {}
        self.hearing = Hearing(vad, ScriptedRecognizer(), settings, self._post)
        self.utterance = None

    def _post(self, event: SpeechStarted | SpeechPaused | PartialHeard | FinalHeard) -> None:
        self.heard.append(event)
        if isinstance(event, SpeechStarted):
            turn = TurnId(f"turn_{len(self.turns)}")  # type: ignore[arg-type]
            self.turns.append(turn)
            self.utterance = self.hearing.open(turn, event.at_ms)  # type: ignore[assignment]
        elif isinstance(event, FinalHeard):
            self.finals[event.turn] = event.text or ""


SERVER = SessionSettings(turn=TurnSettings())
MANUAL = SessionSettings(turn=TurnSettings(detection=Detection.MANUAL))


@pytest.mark.parametrize("vad", [ScriptedVad, LateVad])
@pytest.mark.parametrize("piece_bytes", [640, 2, 31_998, 10_000_000])
def test_edges_and_words_do_not_depend_on_how_the_audio_is_cut(vad: type[ScriptedVad], piece_bytes: int) -> None:
    audio = silence(1000) + speech("hello there") + silence(500)

    async def run() -> Ear:
        ear = Ear(SERVER, vad())
        for start in range(0, len(audio), piece_bytes):
            ear.hearing.hear(audio[start : start + piece_bytes])
        await asyncio.sleep(0.1)
        async with asyncio.TaskGroup() as group:
            assert ear.utterance is not None
            ear.utterance.transcribe(1, group)
        ear.hearing.close()
        return ear

    ear = run_virtual(run())
    edges = [edge for edge in ear.heard if isinstance(edge, SpeechStarted | SpeechPaused)]
    spoken_ms = round(len(speech("hello there")) / 32)
    assert [type(edge) for edge in edges] == [SpeechStarted, SpeechPaused]
    assert 960 <= edges[0].at_ms <= 1000
    assert abs(edges[1].at_ms - (1000 + spoken_ms)) <= 40
    assert all(edge.position_ms >= edge.at_ms for edge in edges)
    assert ear.finals == {"turn_0": "hello there"}


def test_a_turn_begins_with_the_prefix_and_not_in_the_turn_before() -> None:
    async def run() -> tuple[float, float, int]:
        ear = Ear(SERVER, ScriptedVad())
        hearing = ear.hearing
        hearing.hear(silence(2000) + speech("one"))
        first = hearing.open(TurnId("a"), 2000)  # type: ignore[arg-type]
        first_ms = first.audio_ms
        hearing.hear(silence(300))
        hearing.commit(end_ms := hearing.position_ms - 200)
        second = hearing.open(TurnId("b"), hearing.position_ms - 50)  # type: ignore[arg-type]
        hearing.close()
        return first_ms, second.audio_ms, hearing.position_ms - end_ms

    first_ms, second_ms, after_ms = run_virtual(run())
    assert first_ms >= 300 + 40, "the prefix padding, and what was said"
    assert second_ms == after_ms == 200, "the prefix is cut at the end of the turn before"


def test_without_turn_detection_all_audio_up_to_the_commit_is_the_turn() -> None:
    async def run() -> tuple[list[Heard], str, int, int]:
        ear = Ear(MANUAL, ScriptedVad())
        hearing = ear.hearing
        hearing.hear(silence(100) + speech("push to talk") + b"\0\0" * 7)
        start_ms, end_ms = hearing.uncommitted()
        utterance = hearing.open(TurnId("a"), start_ms)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            utterance.transcribe(1, group)
        hearing.commit(end_ms)
        hearing.close()
        return ear.heard, ear.finals[TurnId("a")], end_ms - start_ms, hearing.uncommitted_from_ms  # type: ignore[arg-type]

    heard, text, length_ms, uncommitted_ms = run_virtual(run())
    assert text == "push to talk"
    assert not [edge for edge in heard if isinstance(edge, SpeechStarted)]
    assert length_ms == uncommitted_ms == round(100 + len(speech("push to talk")) / 32)


def test_too_little_audio_is_nothing_to_commit() -> None:
    async def run() -> None:
        hearing = Ear(MANUAL, ScriptedVad()).hearing
        hearing.hear(silence(90))
        with pytest.raises(ProtocolError, match="only has 90ms") as refused:
            hearing.uncommitted()
        assert refused.value.code == "input_audio_buffer_commit_empty"
        hearing.hear(silence(10))
        assert hearing.uncommitted() == (0, 100)
        hearing.close()

    run_virtual(run())


def test_cleared_audio_is_in_no_turn() -> None:
    async def run() -> float:
        ear = Ear(MANUAL, ScriptedVad())
        ear.hearing.hear(speech("forget this"))
        ear.hearing.clear()
        ear.hearing.hear(silence(160))
        utterance = ear.hearing.open(TurnId("a"), 0)  # type: ignore[arg-type]
        ear.hearing.close()
        return utterance.audio_ms

    assert run_virtual(run()) == pytest.approx(160)


def test_speech_that_goes_on_after_a_clear_begins_anew() -> None:
    async def run() -> list[Heard]:
        ear = Ear(SERVER, ScriptedVad())
        ear.hearing.hear(silence(500) + speech("this is"))
        ear.hearing.clear()
        ear.hearing.hear(speech("a sentence"))
        ear.hearing.close()
        return ear.heard

    assert [type(edge) for edge in run_virtual(run()) if isinstance(edge, SpeechStarted)] == [SpeechStarted] * 2


def test_what_a_dead_vad_leaves_waiting_is_bounded() -> None:
    class DeadVad(ScriptedVad):
        def open(self, on_probability: Callable[[float], None]):  # type: ignore[no-untyped-def]
            stream = super().open(on_probability)
            stream.push = self.swallow  # type: ignore[method-assign]
            return stream

        @staticmethod
        def swallow(window: Samples) -> None:
            assert len(window) == 512

    async def run() -> int:
        ear = Ear(SERVER, DeadVad())
        for _ in range(200):
            ear.hearing.hear(speech("o" * 22))
        return len(ear.hearing._waiting)

    assert run_virtual(run()) * 1024 <= 120 * 32_000


@pytest.mark.parametrize("after_ms", [100, 500, 3000])
def test_the_true_end_of_speech_is_found_behind_the_detectors(after_ms: int) -> None:

    async def run() -> tuple[int, int]:
        ear = Ear(SERVER, ScriptedVad())
        ear.hearing.hear(silence(500) + speech("hello there") + silence(after_ms))
        (paused,) = (edge for edge in ear.heard if isinstance(edge, SpeechPaused))
        trailing_ms = ear.hearing.trailing_silence_ms(paused.at_ms)
        ear.hearing.close()
        return paused.at_ms, trailing_ms

    paused_ms, trailing_ms = run_virtual(run())
    true_ms = 500 + len(speech("hello there")) // 32 - GAP_MS
    assert paused_ms - trailing_ms == pytest.approx(true_ms, abs=5)
