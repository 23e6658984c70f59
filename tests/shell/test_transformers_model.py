"""The cache of a transformers model, where the library's own differ. Conversations are read in test_cached_brain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.shell.tiny_llm import TEMPLATE, make_tokenizer
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, MambaConfig, MambaForCausalLM
from transformers.cache_utils import Cache

from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.transformers_brain import TransformersLibrary
from antiphon.engines.transformers_model import GrowingLayer
from antiphon.errors import EngineError


def model_with_windows() -> Any:
    """Every other layer sees eight tokens."""
    torch.manual_seed(1)
    config = Gemma3TextConfig(
        vocab_size=100,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        initializer_range=0.5,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention"] * 2,
    )
    return Gemma3ForCausalLM(config).eval()


def test_what_was_cut_leaves_no_trace_also_where_layers_see_but_some_tokens() -> None:
    """Read in pieces, cut, copied and read on: the scores are those of one reading without any cache."""
    model = model_with_windows().requires_grad_(False)
    given = torch.randint(0, 100, (1, 300), generator=torch.Generator().manual_seed(1))
    expected = model(input_ids=given, use_cache=False).logits[0, -1]

    def read(cache: Any, tokens: Any) -> Any:
        return model(input_ids=tokens, past_key_values=cache, use_cache=True).logits[0, -1]

    cache = Cache(layer_class_to_replicate=GrowingLayer)
    read(cache, given[:, :200])
    read(cache, given[:, 200:201])
    read(cache, given[:, 50:130])  # as far as into the next piece of its room
    for layer in cache.layers:
        layer.cut(201)
    copied = Cache(layers=[layer.copied(201) for layer in cache.layers])
    read(cache, given[:, :90])  # which the copy does not see
    torch.testing.assert_close(read(copied, given[:, 201:]), expected, atol=1e-4, rtol=1e-4)
    assert copied.get_seq_length() == 300


async def test_a_memory_that_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    make_tokenizer(TEMPLATE).save_pretrained(tmp_path)
    config = MambaConfig(vocab_size=400, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    brain = CachedBrain(TransformersLibrary("cpu"), str(tmp_path))
    with pytest.raises(EngineError, match="cannot be taken back"):
        await brain.load()
    await brain.close()
