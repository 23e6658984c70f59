"""The figures of several processes as one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from antiphon.apps.media.sums import Sums
from antiphon.core.carriers import Mark

ONE, TWO = Mark(1, "0000aaaa"), Mark(2, "0000bbbb")


class Figures:
    """Those of a server or of a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.turns = Counter("antiphon_turns", "Turns", registry=self.registry)
        self.refused = Counter("antiphon_sessions_refused", "Refused", ("reason",), registry=self.registry)
        self.failures = Counter("antiphon_engine_failures", "Failures", ("stage",), registry=self.registry)
        self.active = Gauge("antiphon_sessions_active", "Sessions", registry=self.registry)
        self.workers = Gauge("antiphon_workers_serving", "Workers", ("stage",), registry=self.registry)
        self.lag = Histogram("antiphon_lag_seconds", "Lag", buckets=(0.1, 1.0), registry=self.registry)

    @property
    def text(self) -> str:
        return generate_latest(self.registry).decode()


def read(text: bytes) -> dict[str, float]:
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def test_counts_gauges_and_histograms_add_up() -> None:
    own, one, two = Figures(), Figures(), Figures()
    for count, figures in enumerate((own, one, two), 1):
        figures.turns.inc(count)
        figures.active.set(count)
        figures.lag.observe(count / 2)
    text, content_type = Sums(own.registry).render({ONE: one.text, TWO: two.text}, {ONE, TWO})
    samples = read(text)
    assert samples["antiphon_turns_total"] == 6
    assert samples["antiphon_sessions_active"] == 6
    assert samples["antiphon_lag_seconds_count"] == 3
    assert samples["antiphon_lag_seconds_bucket 1.0"] == 2
    assert samples["antiphon_lag_seconds_sum"] == 3.0
    assert content_type.startswith("text/plain")


def test_labels_that_only_a_process_has_are_there() -> None:
    own, one = Figures(), Figures()
    own.failures.labels("tts").inc()
    one.failures.labels("asr").inc(2)
    samples = read(Sums(own.registry).render({ONE: one.text}, {ONE})[0])
    assert samples["antiphon_engine_failures_total tts"] == 1
    assert samples["antiphon_engine_failures_total asr"] == 2


def test_what_the_server_knows_for_all_is_not_counted_twice() -> None:
    own, one = Figures(), Figures()
    for figures in (own, one):
        figures.workers.labels("tts").set(2)
        figures.refused.labels("load").inc()
    samples = read(Sums(own.registry).render({ONE: one.text}, {ONE})[0])
    assert samples["antiphon_workers_serving tts"] == 2
    assert samples["antiphon_sessions_refused_total load"] == 1


def test_the_counts_of_a_process_that_ended_stay_and_its_sessions_do_not() -> None:
    own, former, next_one = Figures(), Figures(), Figures()
    former.turns.inc(5)
    former.active.set(3)
    next_one.turns.inc(1)
    next_one.active.set(1)
    sums = Sums(own.registry)
    assert read(sums.render({ONE: former.text}, {ONE})[0])["antiphon_turns_total"] == 5
    assert read(sums.render({}, {ONE})[0])["antiphon_sessions_active"] == 3, "it did not answer this time"
    gone = read(sums.render({}, ())[0])
    assert gone["antiphon_turns_total"] == 5
    assert gone["antiphon_sessions_active"] == 0
    again = Mark(1, "0000cccc")
    for _ in range(2):
        samples = read(sums.render({again: next_one.text}, {again})[0])
        assert samples["antiphon_turns_total"] == 6
        assert samples["antiphon_sessions_active"] == 1
