"""At which tokens an answer ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_ENDS = ("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>", "</s>")
"""The ends of a message in the usual chat templates: some models name but one of several."""


def stop_tokens(tokenizer: Any, configured: int | list[int] | None) -> frozenset[int]:
    """Those that the model's files name, and those that the tokenizer has for the end of a message."""
    named: Iterable[int | None] = configured if isinstance(configured, list) else (configured,)
    known = tokenizer.get_added_vocab()
    marks = (known[end] for end in _ENDS if end in known)
    return frozenset(token for token in (*named, tokenizer.eos_token_id, *marks) if token is not None)
