"""Half an hour of talk, in words: what the models in this process read for each of them stays the same.

Some two thousand words are what one person says in half an hour in which the other speaks too. They come two at a time,
as a recognizer becomes certain of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.shell.tiny_gguf import write_gguf
from tests.shell.tiny_llm import WORDS, request, text_of, write_model

from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.llama_brain import LlamaBrain
from antiphon.engines.mlx_lm_brain import MlxLmLibrary
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.optional import Attentive, brain_of_session
from antiphon.engines.transformers_brain import TransformersLibrary

CONTEXT = 512
OPTIONS = ModelOptions.parse(f"temperature=0&context={CONTEXT}")
TURNS = 144
PAIRS_A_TURN = 7
PARTS = 3

MOST_TOKENS_A_WORD = {"transformers": 6, "mlx-lm": 6, "llama.cpp": 12}
"""With all that there is besides: the marks around each message, and what is read anew when the oldest is left out.

llama.cpp reads the marks behind the words with each of them.
"""

BRAINS: dict[str, Callable[[Path], CachedBrain | LlamaBrain]] = {
    "transformers": lambda folder: CachedBrain(TransformersLibrary("cpu"), str(folder), OPTIONS),
    "mlx-lm": lambda folder: CachedBrain(MlxLmLibrary(), str(folder), OPTIONS),
    "llama.cpp": lambda folder: LlamaBrain(str(write_gguf(folder, folder / "tiny.gguf")), OPTIONS),
}


@pytest.mark.parametrize("library", BRAINS)
async def test_a_word_costs_as_much_at_the_end(library: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    brain = BRAINS[library](write_model(tmp_path / "tiny", "qwen3"))
    await brain.load()
    own = brain_of_session(brain, "a")
    assert isinstance(own, Attentive)
    said, read = ["be brief"], [0] * PARTS
    for turn in range(TURNS):
        part = turn * PARTS // TURNS
        said.append("so")
        for pair in range(PAIRS_A_TURN):
            at = (turn + 2 * pair) % (len(WORDS) - 1)
            said[-1] += f" {WORDS[at]} {WORDS[at + 1]}"
            finish = await own.read(request(*said))
            read[part] += finish.input_tokens - finish.cached_tokens
            assert finish.input_tokens <= CONTEXT
        text, finish = await text_of(own.respond(request(*said, most=6)))
        read[part] += finish.input_tokens - finish.cached_tokens
        assert finish.input_tokens + finish.output_tokens <= CONTEXT
        said.append(text)
    await brain.close()
    words = TURNS // PARTS * PAIRS_A_TURN * 2
    assert sum(read) > 10 * CONTEXT, "much more than it can hold"
    assert read[-1] < 1.1 * read[1], "the first part has a context that is not yet full"
    assert read[-1] / words < MOST_TOKENS_A_WORD[library]
