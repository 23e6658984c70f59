"""The figures of a server and of its media processes, as one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from antiphon.core.carriers import Mark

OWN = frozenset(("antiphon_workers_serving", "antiphon_worker_restarts", "antiphon_sessions_refused"))
"""What the server itself knows for all: the workers are the same ones, and a call that one process refused may have
gone to another."""

_Sample = tuple[str, tuple[tuple[str, str], ...]]
"""Its name and labels."""
_Figures = dict[str, dict[_Sample, float]]
"""By the family's name."""


class Sums:
    """What only grows never shrinks: the counts of a process that has ended stay in the sum, as they were told last."""

    def __init__(self, own: CollectorRegistry) -> None:
        self._own = own
        self._told: dict[Mark, _Figures] = {}
        self._ended: _Figures = {}

    def render(self, told: Mapping[Mark, str], there: Collection[Mark]) -> tuple[bytes, str]:
        """The text exposition and its content type.

        ``told`` is that of each process which has answered; ``there`` are those that run, whether they have or not.
        """
        for mark, text in told.items():
            for former in [known for known in self._told if known.number == mark.number and known != mark]:
                _add(self._ended, self._told.pop(former))
            self._told[mark] = _read(text)
        return generate_latest(_Collected(self._sum(there))), CONTENT_TYPE_PLAIN_0_0_4

    def _sum(self, there: Collection[Mark]) -> Iterator[Metric]:
        now: _Figures = {}
        ever: _Figures = {}
        _add(ever, self._ended)
        for mark, figures in self._told.items():
            _add(ever, figures)
            if mark in there:
                _add(now, figures)
        for family in self._own.collect():
            elsewhere = now if family.type == "gauge" else ever
            yield _with(family, {} if family.name in OWN else elsewhere.get(family.name, {}))


class _Collected(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _read(text: str) -> _Figures:
    return {
        family.name: {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def _add(to: _Figures, figures: _Figures) -> None:
    for name, samples in figures.items():
        sums = to.setdefault(name, {})
        for sample, value in samples.items():
            sums[sample] = sums.get(sample, 0.0) + value


def _with(family: Metric, elsewhere: Mapping[_Sample, float]) -> Metric:
    """A copy of the family in which the samples of others are added."""
    left = dict(elsewhere)
    summed = Metric(family.name, family.documentation, family.type)
    for sample in family.samples:
        key = (sample.name, tuple(sorted(sample.labels.items())))
        summed.add_sample(sample.name, sample.labels, sample.value + left.pop(key, 0.0))
    for (name, labels), value in left.items():
        summed.add_sample(name, dict(labels), value)
    return summed
