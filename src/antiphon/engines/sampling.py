"""The choice of the next token, from a model's scores. Pure but for the random numbers that it is handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sampling:
    """``temperature`` 0 takes the likeliest token each time; above it, one of the ``top_k`` likeliest is drawn, of the
    fewest whose probabilities add up to ``top_p``. ``top_k`` 0 is all.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 40

    def choose(self, scores: NDArray[np.float32], random: np.random.Generator) -> int:
        """The token; ``scores`` are logits, shape (vocabulary,)."""
        if self.temperature <= 0:
            return int(scores.argmax())
        count = min(self.top_k or scores.size, scores.size)
        likeliest = np.argpartition(scores, -count)[-count:] if count < scores.size else np.arange(scores.size)
        likeliest = likeliest[np.argsort(scores[likeliest])[::-1]]
        kept = scores[likeliest].astype(np.float64) / self.temperature
        weights = np.exp(kept - kept[0])
        weights /= weights.sum()
        fewest = int(np.searchsorted(np.cumsum(weights), self.top_p)) + 1
        weights = weights[:fewest]
        return int(likeliest[random.choice(weights.size, p=weights / weights.sum())])
