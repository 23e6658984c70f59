"""A language model of the library transformers, with caches that can be cut and that grow in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.cache_utils import Cache, DynamicLayer
from transformers.utils import logging as transformers_logging

from antiphon.engines.stop_tokens import stop_tokens
from antiphon.engines.torch_device import speech_dtype
from antiphon.errors import EngineError

_GROWTH_TOKENS = 256
_CHUNK_TOKENS_CPU, _CHUNK_TOKENS_GPU = 64, 512


class GrowingLayer(DynamicLayer):  # type: ignore[misc]  # the library states no types
    """One layer's cache with room to spare: the library's own copies all of it for each token.

    ``keys`` and ``values``, shape (1, heads, tokens, width), are views of the room.
    """

    def __init__(self) -> None:
        super().__init__()
        self._room: tuple[Any, Any] | None = None
        self._used = 0

    def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        used = self._used + key_states.shape[-2]
        if self._room is None or used > self._room[0].shape[-2]:
            size = -(-used // _GROWTH_TOKENS) * _GROWTH_TOKENS
            self._room = self._grown(key_states, 0, size), self._grown(value_states, 1, size)
        keys, values = self._room
        keys[:, :, self._used : used] = key_states
        values[:, :, self._used : used] = value_states
        self._show(used)
        return self.keys, self.values

    def cut(self, length: int) -> None:
        if self._room is not None:
            self._show(length)

    def copied(self, length: int) -> GrowingLayer:
        layer = GrowingLayer()
        if self._room is not None and length:
            keys, values = self._room
            layer.update(keys[:, :, :length], values[:, :, :length])
        return layer

    def _grown(self, states: Any, which: int, size: int) -> Any:
        room = states.new_empty((*states.shape[:2], size, states.shape[-1]))
        if self._room is not None:
            room[:, :, : self._used] = self._room[which][:, :, : self._used]
        return room

    def _show(self, used: int) -> None:
        assert self._room is not None
        self._used = used
        self.keys, self.values = (room[:, :, :used] for room in self._room)


class TransformersModel:
    """Called in threads; one of them works on the model at a time."""

    can_check = True

    def __init__(self, source: str, device: Any) -> None:
        """Reads the model from a folder, or from the hub's cache. Raises EngineError, and whatever the library does."""
        transformers_logging.set_verbosity_error()
        transformers_logging.disable_progress_bar()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(source, local_files_only=True)
        self._model: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=speech_dtype(device), local_files_only=True
        )
        self._model.eval().to(device)
        self._device = device
        config = self._model.config.get_text_config()
        if self._model._is_stateful:
            raise EngineError(
                "what it has read cannot be taken back (it has state-space or linear attention layers): "
                "take a model with attention alone, or one at a URL"
            )
        self.most_tokens = int(config.max_position_embeddings)
        self.chunk_tokens = _CHUNK_TOKENS_CPU if device.type == "cpu" else _CHUNK_TOKENS_GPU
        self.stop_tokens = stop_tokens(self.tokenizer, self._model.generation_config.eos_token_id)
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.bytes_per_token = 2 * config.num_hidden_layers * heads * width * self._model.dtype.itemsize

    def new_cache(self) -> Any:
        return Cache(layer_class_to_replicate=GrowingLayer)

    def read(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = self._scores(cache, tokens, 1)[-1]
        return scores

    def check(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        return self._scores(cache, tokens, len(tokens))

    def _scores(self, cache: Any, tokens: list[int], last: int) -> NDArray[np.float32]:
        """Behind so many of the last tokens."""
        with torch.inference_mode():
            given = torch.tensor([tokens], device=self._device)
            made = self._model(input_ids=given, past_key_values=cache, use_cache=True, logits_to_keep=last)
            scores: NDArray[np.float32] = made.logits[0, -last:].float().cpu().numpy()
        return scores

    def cut(self, cache: Any, length: int, lost: int) -> bool:
        for layer in cache.layers:
            layer.cut(length)
        return True

    def copy(self, cache: Any, length: int) -> Any:
        with torch.inference_mode():
            return Cache(layers=[layer.copied(length) for layer in cache.layers])
