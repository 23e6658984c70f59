"""What was written and thrown away is read again, not written again, and changes nothing: with tiny random models."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.shell.tiny_llm import WORDS, request, text_of, write_model

from antiphon.core.speech import BrainRequest
from antiphon.engines.base import Brain
from antiphon.engines.cached_answer import CHECKED_TOKENS
from antiphon.engines.cached_brain import CachedBrain, Library
from antiphon.engines.contexts import Context
from antiphon.engines.mlx_lm_brain import MlxLmLibrary
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.optional import Attentive
from antiphon.engines.transformers_brain import TransformersLibrary
from antiphon.errors import EngineError

LIBRARIES: dict[str, Callable[[], Library]] = {
    "transformers": lambda: TransformersLibrary("cpu"),
    "mlx-lm": MlxLmLibrary,
}
MOST = 2 * CHECKED_TOKENS + 4
GREEDY, SAMPLED = "temperature=0", "temperature=1&top_p=0.95&top_k=20"


class Tried:
    """A brain of one library, for one conversation, and how often its model was run."""

    def __init__(self, library: str, folder: Path, options: str) -> None:
        self.brain = CachedBrain(LIBRARIES[library](), str(folder), ModelOptions.parse(options))
        self.own: Brain = self.brain.of_session("a")
        self.runs = 0

    async def load(self) -> None:
        await self.brain.load()
        for name in ("read", "check"):
            self._count(name)

    def _count(self, name: str) -> None:
        run = getattr(self.model, name)

        def counted(cache: Any, tokens: list[int]) -> Any:
            self.runs += 1
            return run(cache, tokens)

        setattr(self.model, name, counted)

    @property
    def model(self) -> Any:
        assert self.brain._mind is not None
        return self.brain._mind.model

    @property
    def context(self) -> Context:
        """The one that was used last."""
        assert self.brain._mind is not None
        return max(self.brain._mind.contexts._contexts, key=lambda context: context.used)

    async def remember(self, asked: BrainRequest, draft: list[int]) -> None:
        """As if this had been written to the same, and thrown away."""
        assert isinstance(self.own, Attentive)
        await self.own.read(asked)
        assert not self.context.tape.written_behind(0)
        self.context.draft = list(draft)

    async def write(self, asked: BrainRequest) -> tuple[str, int]:
        """The text, and how often the model was run for it."""
        before = self.runs
        text, _ = await text_of(self.own.respond(asked))
        return text, self.runs - before

    async def begin(self, asked: BrainRequest, pieces: int) -> None:
        """Writes so many pieces, which are then thrown away."""
        async with aclosing(self.own.respond(asked)) as deltas:
            for _ in range(pieces):
                await anext(deltas)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_llm


@pytest.fixture(autouse=True)
def _same_chances(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every answer draws the same numbers."""
    made = np.random.default_rng
    monkeypatch.setattr(np.random, "default_rng", lambda: made(7))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("llm")
    return [
        write_model(folder / f"{seed}", family, seed=seed)
        for seed, family in ((1, "qwen3"), (2, "llama"), (3, "qwen3"))
    ]


@pytest.fixture(params=LIBRARIES)
async def make(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Tried]]:
    made: list[Tried] = []

    def tried(folder: Path, options: str = GREEDY) -> Tried:
        made.append(Tried(request.param, folder, options))
        return made[-1]

    yield tried
    for each in made:
        await each.brain.close()


async def tokens_of(tried: Tried, asked: BrainRequest) -> list[int]:
    """What it writes, all but the last, which nobody reads."""
    await tried.write(asked)
    return tried.context.tape.written_behind(0)


@pytest.mark.parametrize("options", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
async def test_whatever_was_thrown_away_the_writing_is_the_same(
    make: Callable[..., Tried], folders: list[Path], options: str
) -> None:
    chance = random.Random(5)
    for folder in folders:
        plain, tried = make(folder, options), make(folder, options)
        await plain.load()
        await tried.load()
        plain.model.can_check = False
        for number in range(4):
            asked = request("be brief", " ".join(chance.choices(WORDS, k=5)), most=MOST)
            expected, runs = await plain.write(asked)
            written = await tokens_of(tried, asked)
            same = chance.choice([0, 1, 5, CHECKED_TOKENS, CHECKED_TOKENS + 1, len(written)])
            others = chance.choices(written, k=chance.choice([0, 3, 40]))
            await tried.remember(asked, written[:same] + others)
            text, fewer = await tried.write(asked)
            assert text == expected, (folder.name, number, same)
            assert fewer <= runs + 2
            after = request("be brief", f"so {number}", most=3)
            assert (await tried.write(after))[0] == (await plain.write(after))[0], "nothing of it is left in the cache"


async def test_what_stays_the_same_costs_few_runs(make: Callable[..., Tried], folders: list[Path]) -> None:
    tried = make(folders[0])
    await tried.load()
    asked = request("be brief", "what is the weather", most=MOST)
    text, runs = await tried.write(asked)
    again, fewer = await tried.write(asked)
    assert again == text
    assert runs >= MOST
    assert fewer <= 2 + MOST // CHECKED_TOKENS


async def test_it_outlives_the_reading_of_words_and_a_writing_that_is_broken_off(
    make: Callable[..., Tried], folders: list[Path]
) -> None:
    tried = make(folders[0])
    await tried.load()
    assert isinstance(tried.own, Attentive)
    asked = request("be brief", "what is the weather", most=MOST)
    text, _ = await tried.write(asked)
    await tried.own.read(request("be brief", "what is the weather like"))
    for pieces in (3, 1, 5):
        await tried.begin(asked, pieces)
    again, fewer = await tried.write(asked)
    assert again == text
    assert fewer <= 2 + MOST // CHECKED_TOKENS


async def test_a_model_that_cannot_take_back_says_so(make: Callable[..., Tried], folders: list[Path]) -> None:
    """And what is in its cache is not trusted any more."""
    tried = make(folders[0])
    await tried.load()
    asked = request("be brief", "what is the weather", most=MOST)
    text, _ = await tried.write(asked)
    written = await tokens_of(tried, asked)
    await tried.remember(asked, [*written[:2], written[0], written[0]])
    cut = tried.model.cut
    tried.model.cut = lambda *_: False
    with pytest.raises(EngineError, match="take back"):
        await tried.write(asked)
    tried.model.cut = cut
    assert (await tried.write(asked))[0] == text
