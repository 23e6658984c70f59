"""A language model of mlx-lm, with caches that can be cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
from mlx_lm.models.cache import KVCache, can_trim_prompt_cache, make_prompt_cache, trim_prompt_cache
from mlx_lm.utils import load_model
from numpy.typing import NDArray
from transformers import AutoTokenizer

from antiphon.engines.stop_tokens import stop_tokens
from antiphon.errors import EngineError

_CHUNK_TOKENS_CPU, _CHUNK_TOKENS_GPU = 64, 512
_MOST_TOKENS = 8192
"""Where the model's files do not say how long a context it knows."""


class MlxLmModel:
    """Called in the thread of MLX."""

    def __init__(self, folder: Path) -> None:
        """Raises EngineError, and whatever the library raises."""
        self._model, config = load_model(folder)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        on_gpu = mx.default_device().type == mx.DeviceType.gpu
        self.chunk_tokens = _CHUNK_TOKENS_GPU if on_gpu else _CHUNK_TOKENS_CPU
        self.most_tokens = int(config.get("max_position_embeddings") or _MOST_TOKENS)
        self.stop_tokens = stop_tokens(self.tokenizer, config.get("eos_token_id"))
        cache = self.new_cache()
        if not can_trim_prompt_cache(cache):
            raise EngineError(
                "what it has read cannot be taken back (it has state-space or linear attention layers): "
                "take a model with attention alone, or one at a URL"
            )
        self.can_check = all(type(layer) is KVCache for layer in cache)  # others forget what would come back
        self.read(cache, [0])
        self.bytes_per_token = max(1, sum(_width_bytes(layer) for layer in cache))

    def new_cache(self) -> Any:
        return make_prompt_cache(self._model)

    def read(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        scores = self._model(mx.array([tokens]), cache=cache)[0, -1].astype(mx.float32)
        mx.eval(scores, [layer.state for layer in cache])
        return np.array(scores)

    def check(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        scores = self._model(mx.array([tokens]), cache=cache)[0].astype(mx.float32)
        mx.eval(scores, [layer.state for layer in cache])
        return np.array(scores)

    def cut(self, cache: Any, length: int, lost: int) -> bool:
        """A layer with a sliding window that is full has forgotten what would come back."""
        trimmed: Any = (
            trim_prompt_cache(cache, lost) if can_trim_prompt_cache(cache) else 0
        )  # it says list, and gives int
        return bool(trimmed == lost)

    def copy(self, cache: Any, length: int) -> Any | None:
        if any(type(layer) is not KVCache for layer in cache):
            return None
        copied = self.new_cache()
        for layer, own in zip(cache, copied, strict=True):
            keys, values = layer.keys_and_values()
            own.update_and_fetch(keys[..., :length, :], values[..., :length, :])
        mx.eval([layer.state for layer in copied])
        return copied


def _width_bytes(layer: Any) -> int:
    """What a token takes in a layer that holds some."""
    arrays = (getattr(layer, name, None) for name in ("keys", "values"))
    return sum(int(array.nbytes // array.shape[-2]) for array in arrays if isinstance(array, mx.array))
