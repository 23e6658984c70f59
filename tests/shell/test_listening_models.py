"""A conversation with real models that listen, of random weights: a heard word costs as much in its end as at first.

The machinery is what is tried: such a model writes nonsense, which is said.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.shell.tiny_llm import WORDS, write_model

from antiphon.core.settings import Answers, ListeningSettings, ReplySettings, SessionSettings, TurnSettings
from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.transformers_brain import TransformersLibrary
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual
from antiphon.sim.watch import Watch

SAYINGS = [" ".join(WORDS[at : at + 6]) for at in range(0, 48, 6)]


async def cost_of_words(caller: Caller, sayings: list[str]) -> float:
    """The tokens that were read anew for each word that was heard."""
    brain = caller.session.brain
    assert brain is not None
    before, heard = brain.usage, brain.heard_words
    for saying in sayings:
        await caller.say(saying, after_ms=500)
        await caller.rest()
    after = brain.usage
    read = after.input_tokens - before.input_tokens - (after.cached_tokens - before.cached_tokens)
    return read / (brain.heard_words - heard)


@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_a_word_costs_a_word(family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    watch = Watch()
    folder = write_model(tmp_path / family, family)
    model = CachedBrain(TransformersLibrary("cpu"), str(folder), ModelOptions(temperature=0))
    settings = SessionSettings(
        TurnSettings(paced=True, answers=Answers.LISTENING, silence_duration_ms=300),
        ReplySettings(instructions="Listen.", max_output_tokens=6),
        ListeningSettings(wait_k=3),
        transcription=True,
    )

    async def main() -> None:
        suite = watch.over(replace(scripted_suite(), brain=model))
        await suite.load()
        async with call(suite, settings) as caller:
            await caller.pause(20)
            costs = [await cost_of_words(caller, SAYINGS[:4]), await cost_of_words(caller, SAYINGS[4:])]
            brain = caller.session.brain
            assert brain is not None
            assert brain.usage.cached_tokens > 3 * (brain.usage.input_tokens - brain.usage.cached_tokens)
            assert len(caller.outlet.replies) >= len(SAYINGS) / 2
            assert max(costs) < 40
            assert costs[1] < 1.5 * costs[0]
        await suite.close()

    run_virtual(main(), busy=watch.busy)
