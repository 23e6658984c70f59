from __future__ import annotations

import asyncio
import time

from prometheus_client.parser import text_string_to_metric_families

from antiphon.apps.metrics import LAG_INTERVAL_S, LATENCY_BUCKETS_S, Metrics
from antiphon.core.shedding import Ahead
from antiphon.core.work_ahead import Balance, Work
from antiphon.session.meter import Meter


def read(metrics: Metrics) -> dict[tuple[str, str], float]:
    """Each sample by its name and its labels."""
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_a_turn_feeds_the_histogram_of_each_of_its_figures() -> None:
    metrics = Metrics()
    meter: Meter = metrics
    meter.turn({"end_of_turn_ms": 200.0, "voice_ms": 12.0, "response_ms": 310.0})
    samples = read(metrics)
    assert samples["antiphon_turns_total", ""] == 1
    assert samples["antiphon_turn_response_seconds_sum", ""] == 0.31
    assert samples["antiphon_turn_response_seconds_bucket", "le=0.3"] == 0
    assert samples["antiphon_turn_response_seconds_bucket", "le=0.4"] == 1
    assert samples["antiphon_turn_voice_seconds_count", ""] == 1
    assert samples["antiphon_turn_recognizer_seconds_count", ""] == 0


def test_barge_ins_and_resumes_are_told_apart() -> None:
    metrics = Metrics()
    metrics.barge_in({"onset_to_edge_ms": 80.0, "edge_to_pause_ms": 9.0, "decision_ms": 300.0, "resumed": 0.0})
    metrics.barge_in({"onset_to_edge_ms": 80.0, "resumed": 1.0})
    samples = read(metrics)
    assert samples["antiphon_barge_ins_total", ""] == 1
    assert samples["antiphon_resumes_total", ""] == 1
    assert samples["antiphon_barge_in_onset_to_edge_seconds_count", ""] == 2
    assert samples["antiphon_barge_in_edge_to_pause_seconds_count", ""] == 1


def test_failures_are_counted_by_stage_and_start_at_nought() -> None:
    metrics = Metrics()
    metrics.failed("llm")
    samples = read(metrics)
    assert samples["antiphon_engine_failures_total", "stage=llm"] == 1
    assert samples["antiphon_engine_failures_total", "stage=tts"] == 0


def test_tokens_are_counted_by_what_they_cost() -> None:
    metrics = Metrics()
    assert read(metrics)["antiphon_brain_tokens_total", "kind=cached"] == 0
    metrics.tokens(3, 7, 2)
    metrics.tokens(1, 10, 0)
    samples = read(metrics)
    assert [samples["antiphon_brain_tokens_total", f"kind={kind}"] for kind in ("read", "cached", "written")] == [
        4,
        17,
        2,
    ]


def test_the_buckets_tell_one_frame_from_three_seconds() -> None:
    assert list(LATENCY_BUCKETS_S) == sorted(set(LATENCY_BUCKETS_S))
    assert 0.02 in LATENCY_BUCKETS_S
    assert LATENCY_BUCKETS_S[-1] == 3.0


def test_two_servers_in_a_process_do_not_share_figures() -> None:
    one, other = Metrics(), Metrics()
    one.failed("asr")
    assert read(other)["antiphon_engine_failures_total", "stage=asr"] == 0


async def test_a_blocked_event_loop_shows() -> None:
    async def block() -> None:
        time.sleep(2 * LAG_INTERVAL_S)  # noqa: ASYNC251 - the blocking is what is tested

    metrics = Metrics()
    await asyncio.gather(metrics.sample_lag(), block())
    assert read(metrics)["antiphon_event_loop_lag_seconds_sum", ""] > LAG_INTERVAL_S / 2


def test_working_ahead_is_counted_in_seconds_and_tokens() -> None:
    metrics = Metrics()
    metrics.work_ahead(Balance(0.12).figures())
    metrics.work_ahead(Balance(thrown_away=1, wasted=Work(7, 0.25, 0.05, 1.0)).figures())
    samples = read(metrics)
    assert samples["antiphon_ahead_won_seconds_total", ""] == 0.12
    assert samples["antiphon_ahead_thrown_away_total", ""] == 1
    assert samples["antiphon_ahead_wasted_tokens_total", ""] == 7
    assert samples["antiphon_ahead_wasted_seconds_total", "stage=llm"] == 0.25
    assert samples["antiphon_ahead_wasted_seconds_total", "stage=tts"] == 0.05
    assert samples["antiphon_ahead_level", ""] == Ahead.VOICE
