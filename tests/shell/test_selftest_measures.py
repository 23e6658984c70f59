from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from antiphon.apps.realtime_client import Arrival
from antiphon.apps.selftest.measures import (
    percentile,
    reply_audio,
    speech_span,
    word_error_rate,
    word_errors,
)
from antiphon.apps.selftest.report import Report, TurnRow
from antiphon.apps.selftest.table import print_report
from antiphon.audio import AUDIBLE

RATE_HZ = 24_000
words = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta"]), max_size=8)


def delta(at: float, samples: list[int], reply: str = "r") -> Arrival:
    audio = base64.b64encode(np.array(samples, "<i2").tobytes()).decode()
    return Arrival(at, {"type": "response.output_audio.delta", "response_id": reply, "delta": audio})


def test_leading_silence_counts_as_delay() -> None:
    audio = reply_audio([delta(1.0, [0] * 480), delta(1.02, [AUDIBLE] * 240 + [9000] + [0] * 239)], "r")
    assert audio.first_audible_at == pytest.approx(1.03)
    assert audio.last_audible_at == pytest.approx(1.03)
    assert audio.duration_ms == 40
    assert audio.longest_gap_ms == pytest.approx(20)


def test_other_replies_do_not_count() -> None:
    audio = reply_audio([delta(1.0, [9000], "other"), Arrival(2.0, {"type": "response.done"})], "r")
    assert (audio.pcm, audio.first_audible_at, audio.longest_gap_ms) == (b"", None, 0)


def test_the_speech_in_a_recording_is_found() -> None:
    samples = np.zeros(RATE_HZ, "<i2")
    samples[6000:18000] = 3000
    start, end = speech_span(samples.tobytes(), RATE_HZ)
    assert abs(start - 6000) <= RATE_HZ // 200
    assert abs(end - 18000) <= RATE_HZ // 200
    assert speech_span(bytes(2000), RATE_HZ) == (0, 0)
    assert speech_span(b"", RATE_HZ) == (0, 0)


@pytest.mark.parametrize(
    ("expected", "heard", "errors"),
    [
        ("one two three", "One, two, three!", 0),
        ("one two three", "one three", 1),
        ("one two three", "one too three", 1),
        ("one two", "one and two", 1),
        ("", "a b", 2),
        ("a b", "", 2),
    ],
)
def test_word_errors(expected: str, heard: str, errors: int) -> None:
    assert word_errors(expected, heard) == errors


@given(words, words)
def test_word_errors_are_a_distance(one: list[str], other: list[str]) -> None:
    there = word_errors(" ".join(one), " ".join(other))
    assert there == word_errors(" ".join(other), " ".join(one))
    assert (there == 0) == (one == other)
    assert abs(len(one) - len(other)) <= there <= max(len(one), len(other))


def test_word_error_rate_of_nothing() -> None:
    assert word_error_rate("", "") == 0
    assert word_error_rate("", "something") == 1


@given(st.lists(st.floats(0, 1000), min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_percentile_is_one_of_the_values(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)


def a_report() -> Report:
    report = Report(engines={"asr": "moonshine:tiny-en"}, total_s=50.0)
    report.turns = [TurnRow("first turn", "My name is Sam.", figures={"response_ms": 300.0, "end_of_turn_ms": 210.0})]
    report.barge_in = {"onset_to_silence_ms": 120.0}
    report.check("first turn: transcript", True, "word error rate 0%")
    return report


def test_a_report_passes_when_all_checks_do() -> None:
    report = a_report()
    assert report.passed
    report.check("barge-in: audio stops", False, "the reply was not audible")
    assert not report.passed
    assert [check.name for check in report.failures()] == ["barge-in: audio stops"]
    assert not Report().passed, "nothing checked is nothing proved"


def test_the_report_in_json_and_on_the_screen() -> None:
    report = a_report()
    report.check("barge-in: audio stops", False, "the reply was [not] audible")
    data = report.as_json()
    assert data["summary"]["response_ms"] == {"p50": 300.0, "p95": 300.0, "max": 300.0, "turns": 1}
    assert data["turns"][0]["end_of_turn_ms"] == 210.0
    assert data["passed"] is False
    console = Console(record=True, width=120, file=io.StringIO())
    print_report(report, console)
    shown = console.export_text()
    assert "FAIL barge-in: audio stops: the reply was [not] audible" in shown
    assert "1 failed" in shown
