from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path

import numpy as np
import orjson
import pytest
from rich.console import Console

from antiphon.apps.loadtest import LoadTestOptions, loadtest
from antiphon.apps.loadtest.crowd import ANSWER_LIMIT_S, Caller, CrowdResult
from antiphon.apps.loadtest.question import LONGEST_S, SHORTEST_S, WORDS, Question, questions
from antiphon.apps.microphone import FRAME_S, WIRE_FRAME_BYTES
from antiphon.apps.realtime_client import ClientError
from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.engines import tone_code
from antiphon.errors import ConfigError

TWO_FRAMES = Question(("one", "two"), end_sample=960)


def audio(samples: list[int]) -> str:
    delta = base64.b64encode(np.array(samples, "<i2").tobytes()).decode()
    return orjson.dumps({"type": "response.output_audio.delta", "event_id": "e", "delta": delta}).decode()


def done(status: str = "completed") -> str:
    return orjson.dumps({"type": "response.done", "event_id": "e", "response": {"status": status}}).decode()


def speak(caller: Caller, now: float) -> tuple[float, float]:
    """Runs the clock until the question is said; returns when its last frame was due, and when it truly ended."""
    while caller.next_message(now) != "one":
        now += FRAME_S
    assert caller.next_message(now + FRAME_S) == "two"
    return now + FRAME_S, now - FRAME_S + TWO_FRAMES.end_sample / WIRE_PCM_RATE_HZ


def test_questions_are_speech_in_one_breath_with_words_before_it() -> None:
    assert len(questions()) >= 5
    for question in questions():
        pcm = b"".join(base64.b64decode(json.loads(message)["audio"]) for message in question.messages)
        assert len(pcm) == len(question.messages) * WIRE_FRAME_BYTES
        assert tone_code.decode(pcm[: int(0.1 * WIRE_PCM_RATE_HZ) * 2], WIRE_PCM_RATE_HZ).startswith(WORDS)
        assert SHORTEST_S < question.end_sample / WIRE_PCM_RATE_HZ < LONGEST_S + 0.2


def test_a_caller_measures_from_the_true_end_to_the_first_audible_sample() -> None:
    result = CrowdResult()
    caller = Caller((TWO_FRAMES,), random.Random(1), result, now=0.0)
    now, ended_at = speak(caller, 0.0)
    caller.hear(audio([0] * 480), ended_at + 0.3)
    assert result.latencies_ms == []
    caller.hear(audio([0] * 240 + [9000] * 240), ended_at + 0.325)
    assert result.latencies_ms == [pytest.approx(335)]
    assert sum(result.jitter_tenths) == 1
    assert result.jitter_tenths[50] + result.jitter_tenths[49] == 1, "25 ms after the one before"
    caller.hear(done(), now + 1)
    assert result.turns == 1
    speak(caller, now + 1)
    assert caller.lost is None


def test_an_answer_that_was_taken_back_is_no_turn() -> None:
    result = CrowdResult()
    caller = Caller((TWO_FRAMES,), random.Random(1), result, now=0.0)
    now, _ = speak(caller, 0.0)
    caller.hear(done("cancelled"), now)
    assert result.turns == 0
    caller.hear(audio([9000] * 480), now + 0.5)
    caller.hear(done(), now + 1)
    assert result.turns == 1


def test_a_caller_without_an_answer_is_lost() -> None:
    caller = Caller((TWO_FRAMES,), random.Random(1), CrowdResult(), now=0.0)
    now, _ = speak(caller, 0.0)
    caller.next_message(now + ANSWER_LIMIT_S - 1)
    assert caller.lost is None
    caller.next_message(now + ANSWER_LIMIT_S + 1)
    assert caller.lost == "no answer within 10 s"


def test_an_error_loses_a_caller() -> None:
    caller = Caller((TWO_FRAMES,), random.Random(1), CrowdResult(), now=0.0)
    caller.hear(orjson.dumps({"type": "error", "error": {"message": "too much"}}).decode(), 1.0)
    assert caller.lost == "error: too much"


async def test_rows_of_a_real_server(tmp_path: Path) -> None:
    console = Console(record=True, width=110, file=io.StringIO())
    options = LoadTestOptions(sessions=(1, 3), seconds=8.0, json_file=tmp_path / "rows.json")
    assert await loadtest(options, console) == 0
    one, three = json.loads(options.json_file.read_bytes())["rows"] if options.json_file else []
    assert (one["sessions"], three["sessions"]) == (1, 3)
    for row in (one, three):
        assert row["turns"] >= 1
        assert row["lost"] == 0
        assert row["cpu_s_per_session_minute"] > 0
        assert row["rss_mb"] >= row["uss_mb"] > 20
        assert 0 < row["response_p50_ms"] <= row["response_p95_ms"] <= row["response_max_ms"]
        assert row["jitter_p95_ms"] <= row["jitter_p99_ms"]
    assert three["turns"] > one["turns"]
    assert "sessions" in console.export_text()


async def test_lost_sessions_are_counted_and_told() -> None:
    """The server takes one session fewer than there are callers."""
    console = Console(record=True, width=110, file=io.StringIO())
    options = LoadTestOptions(sessions=(3,), seconds=2.0, server_arguments=("--max-sessions", "2"))
    assert await loadtest(options, console) == 1
    shown = console.export_text()
    assert "3 sessions: lost: " in shown
    assert "503" in shown


@pytest.mark.parametrize(
    "options", [LoadTestOptions(sessions=()), LoadTestOptions(sessions=(0,)), LoadTestOptions(seconds=0)]
)
async def test_senseless_options_are_refused(options: LoadTestOptions) -> None:
    with pytest.raises(ConfigError, match="--sessions takes numbers from 1 on"):
        await loadtest(options)


async def test_what_cannot_be_done_is_told_before_anything_starts(unused_tcp_port: int) -> None:
    with pytest.raises(ConfigError, match=r"--json none/x\.json: there is no folder none"):
        await loadtest(LoadTestOptions(json_file=Path("none/x.json")))
    with pytest.raises(ClientError, match="no server answers"):
        await loadtest(LoadTestOptions(url=f"http://127.0.0.1:{unused_tcp_port}"))
