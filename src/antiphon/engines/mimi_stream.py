"""Mimi, the codec of Sesame CSM, frame by frame: the library decodes a recording at once.

Its decoder is causal: an upsampling, a transformer and convolutions. What each needs of the past is kept here, so that
the pieces add up to what the library makes of all frames together.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from transformers import DynamicCache


class MimiStream:
    """The decoder of one stream of codes."""

    def __init__(self, codec: Any) -> None:
        """``codec`` is a MimiModel of transformers, which may serve several streams."""
        self._quantizer = codec.quantizer
        self._decoder = codec.decoder
        config = codec.decoder.config
        self._most_code = config.codebook_size - 1
        self._stride = config.latent_stride
        self._past_steps, self._hop_samples = _reach(config)
        self._cache = DynamicCache(config=config)
        self._latent: Any = None
        self._past: Any = None

    def push(self, codes: Any) -> Any:
        """Takes the next frames' codes, shape (codebooks, frames); gives their samples, float32, shape (samples,)."""
        # A language model's vocabulary has a few marks more than the codec has codes.
        latents = self._quantizer.decode(codes.clamp(max=self._most_code)[None])
        if self._latent is None:
            steps = self._decoder.upsample(latents)
        else:
            steps = self._decoder.upsample(torch.cat([self._latent, latents], 2))[..., self._stride :]
        self._latent = latents[..., -1:]
        transformer = self._decoder.decoder_transformer
        hidden = transformer(steps.transpose(1, 2), past_key_values=self._cache, use_cache=True).last_hidden_state
        hidden = hidden.transpose(1, 2)
        new_samples = hidden.shape[-1] * self._hop_samples
        if self._past is not None:
            hidden = torch.cat([self._past, hidden], 2)
        self._past = hidden[..., -self._past_steps :]
        return self._decoder.decoder_seanet(hidden)[0, 0, -new_samples:].float()


def _reach(config: Any) -> tuple[int, int]:
    """How many steps of the past the convolutions see, and how many samples they make of one step."""
    steps, rate = float(config.kernel_size - 1), 1
    for ratio in config.upsampling_ratios:
        steps += 1 / rate
        rate *= ratio
        dilations = (config.dilation_growth_rate**layer for layer in range(config.num_residual_layers))
        steps += sum((config.residual_kernel_size - 1) * dilation for dilation in dilations) / rate
    return math.ceil(steps + (config.last_kernel_size - 1) / rate), rate
