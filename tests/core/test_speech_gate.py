from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.events import SpeechPaused, SpeechStarted
from antiphon.core.speech_gate import WINDOW_MS, SpeechGate

PROBABILITIES = st.lists(st.floats(0, 1), max_size=200)


def edges(
    probabilities: list[float], gate: SpeechGate | None = None, from_ms: int = 0
) -> list[SpeechStarted | SpeechPaused]:
    gate = gate or SpeechGate()
    pushed = (gate.push(p, from_ms + (i + 1) * WINDOW_MS) for i, p in enumerate(probabilities))
    return [edge for edge in pushed if edge is not None]


def test_a_confident_window_starts_speech_at_once() -> None:
    assert edges([0.0, 0.95]) == [SpeechStarted(32, 64)]


def test_less_confident_speech_takes_two_windows() -> None:
    assert edges([0.0, 0.6, 0.6]) == [SpeechStarted(32, 96)]
    assert edges([0.0, 0.6, 0.1, 0.6, 0.1]) == []


def test_a_run_may_dip_by_the_hysteresis_and_begins_with_its_first_window() -> None:
    gate = SpeechGate(min_speech_ms=96)
    assert edges([0.4, 0.55, 0.4, 0.4], gate) == [SpeechStarted(32, 128)]


def test_speech_pauses_at_the_end_of_its_last_window() -> None:
    assert edges([0.95, 0.4, 0.1, 0.1]) == [SpeechStarted(0, 32), SpeechPaused(64, 128)]


def test_a_dip_shorter_than_the_pause_is_none() -> None:
    assert edges([0.95, 0.1, 0.95, 0.1, 0.36, 0.1]) == [SpeechStarted(0, 32)]


def test_speech_that_comes_back_begins_after_the_pause_before_it() -> None:
    first, pause, second = edges([0.95, 0.2, 0.2, 0.95])
    assert isinstance(first, SpeechStarted)
    assert pause == SpeechPaused(32, 96)
    assert second == SpeechStarted(96, 128)


def test_the_threshold_can_be_set_while_running() -> None:
    gate = SpeechGate(0.5)
    assert edges([0.6, 0.6], gate)
    gate.threshold = 0.9
    assert edges([0.6, 0.6], gate, from_ms=64) == [SpeechPaused(64, 128)]
    gate.threshold = 0.2
    assert edges([0.25, 0.25], gate, from_ms=128) == [SpeechStarted(128, 192)]


def test_a_threshold_of_zero_still_tells_silence() -> None:
    assert edges([0.0] * 50, SpeechGate(0.0)) == []


def test_a_threshold_of_one_asks_for_certainty() -> None:
    assert edges([0.99] * 9, SpeechGate(1.0)) == []
    assert edges([1.0], SpeechGate(1.0)) == [SpeechStarted(0, 32)]


@given(PROBABILITIES, st.floats(0, 1), st.integers(0, 320), st.integers(0, 320))
def test_edges_alternate_and_their_times_only_grow(
    probabilities: list[float], threshold: float, min_speech_ms: int, min_pause_ms: int
) -> None:
    gate = SpeechGate(threshold, min_speech_ms=min_speech_ms, min_pause_ms=min_pause_ms)
    before_ms, before_position_ms, speaking = 0, 0, False
    for edge in edges(probabilities, gate):
        assert isinstance(edge, SpeechPaused) is speaking
        assert before_ms <= edge.at_ms <= edge.position_ms
        assert edge.position_ms > before_position_ms
        if isinstance(edge, SpeechPaused):
            assert edge.at_ms > before_ms
            assert edge.position_ms - edge.at_ms >= max(min_pause_ms, WINDOW_MS)
        before_ms, before_position_ms, speaking = edge.at_ms, edge.position_ms, not speaking
    assert gate.speaking is speaking


@given(PROBABILITIES, st.floats(0.02, 1))
def test_an_edge_is_within_its_bounds(probabilities: list[float], threshold: float) -> None:
    for edge in edges(probabilities, SpeechGate(threshold)):
        last = probabilities[edge.position_ms // WINDOW_MS - 1]
        if isinstance(edge, SpeechStarted):
            assert probabilities[edge.at_ms // WINDOW_MS] >= threshold
            assert edge.position_ms - edge.at_ms <= 64
        else:
            assert last < threshold


@given(PROBABILITIES)
def test_long_certain_speech_is_never_missed(noise: list[float]) -> None:
    gate = SpeechGate()
    edges(noise, gate)
    edges([1.0], gate, from_ms=len(noise) * WINDOW_MS)
    assert gate.speaking
