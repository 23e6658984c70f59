from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from antiphon.engines.sampling import Sampling

SCORES = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))


def drawn(sampling: Sampling, count: int = 2000) -> Counter[int]:
    random = np.random.default_rng(1)
    return Counter(sampling.choose(SCORES, random) for _ in range(count))


def test_no_temperature_takes_the_likeliest() -> None:
    assert drawn(Sampling(temperature=0)) == {0: 2000}


def test_all_are_drawn_as_often_as_they_are_likely() -> None:
    counts = drawn(Sampling(1.0, 1.0, 0))
    assert [counts[token] / 2000 for token in range(4)] == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.05)


def test_temperature_sharpens() -> None:
    assert drawn(Sampling(0.3, 1.0, 0))[0] > drawn(Sampling(1.0, 1.0, 0))[0]


def test_only_the_likeliest_are_drawn() -> None:
    assert set(drawn(Sampling(1.0, 1.0, 2))) == {0, 1}
    assert set(drawn(Sampling(1.0, 0.6, 0))) == {0, 1}, "the fewest that have 0.6 together"
    assert set(drawn(Sampling(1.0, 0.01, 0))) == {0}
    assert set(drawn(Sampling(1.0, 1.0, 100))) == {0, 1, 2, 3}


def test_large_scores_do_no_harm() -> None:
    scores = np.array([1e4, -1e4, 0], dtype=np.float32)
    assert Sampling(1.0, 1.0, 0).choose(scores, np.random.default_rng(1)) == 0
