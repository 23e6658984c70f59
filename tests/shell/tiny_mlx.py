"""Tiny models of random weights, made of the own classes of mlx-audio and parakeet-mlx, in the files they are kept in.

Everything is made in the thread of MLX, which is also where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_flatten
from mlx_audio.tts.models.kokoro import istftnet, kokoro
from mlx_audio.tts.models.pocket_tts import Model as PocketModel
from mlx_audio.tts.models.pocket_tts import ModelConfig as PocketConfig
from parakeet_mlx.utils import from_config
from tokenizers import Tokenizer, models, pre_tokenizers

from antiphon.engines.mlx_thread import open_lane

_WIDTH = 16
_STYLE = 128


class NarrowDecoder(istftnet.Decoder):  # type: ignore[misc]  # the library states no types
    """Kokoro's decoder, whose width is no setting: on the CPU the real one takes seconds for a word."""

    def __init__(self, dim_in: int, style_dim: int, dim_out: int, **generator: Any) -> None:
        Module.__init__(self)  # type: ignore[no-untyped-call]
        block = istftnet.AdainResBlk1d
        self.encode = block(dim_in + 2, _WIDTH, style_dim, conv_type=mx.conv1d)
        self.decode = [block(_WIDTH + 2 + 64, _WIDTH, style_dim, conv_type=mx.conv1d) for _ in range(3)]
        self.decode.append(block(_WIDTH + 2 + 64, _WIDTH, style_dim, upsample=True, conv_type=mx.conv1d))
        self.F0_conv = istftnet.ConvWeighted(1, 1, kernel_size=3, stride=2, padding=1, groups=1)
        self.N_conv = istftnet.ConvWeighted(1, 1, kernel_size=3, stride=2, padding=1, groups=1)
        self.asr_res = [istftnet.ConvWeighted(dim_in, 64, kernel_size=1, padding=0)]
        self.generator = istftnet.Generator(style_dim, **generator)


def _kokoro_config(vocab: dict[str, int]) -> dict[str, Any]:
    return {
        "istftnet": {
            "resblock_kernel_sizes": [3],
            "upsample_rates": [10, 6],
            "upsample_initial_channel": _WIDTH,
            "resblock_dilation_sizes": [[1, 3, 5]],
            "upsample_kernel_sizes": [20, 12],
            "gen_istft_n_fft": 20,
            "gen_istft_hop_size": 5,
        },
        "dim_in": _WIDTH,
        "dropout": 0.2,
        "hidden_dim": _WIDTH,
        "max_conv_dim": _WIDTH,
        "max_dur": 6,
        "multispeaker": True,
        "n_layer": 1,
        "n_mels": 80,
        "n_token": 178,
        "style_dim": _STYLE,
        "text_encoder_kernel_size": 5,
        "plbert": {
            "hidden_size": _WIDTH,
            "num_attention_heads": 2,
            "intermediate_size": _WIDTH,
            "max_position_embeddings": 512,
            "num_hidden_layers": 1,
            "dropout": 0.1,
        },
        "vocab": vocab,
    }


def write_mlx_kokoro(folder: Path, voices: Sequence[str]) -> Path:
    """A Kokoro in ``folder``, which it returns. It can be read while ``NarrowDecoder`` stands in for the real one."""
    from kokoro_onnx.config import DEFAULT_VOCAB

    config = _kokoro_config(DEFAULT_VOCAB)
    (folder / "voices").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def write() -> None:
        mx.random.seed(1)
        model = kokoro.Model(kokoro.ModelConfig.from_dict(config))
        weights = {name: _drawn(name, value) for name, value in _parameters(model)}
        kept = {name: _as_kept(name, value) for name, value in weights.items()}
        mx.save_safetensors(str(folder / "kokoro-v1_0.safetensors"), kept)
        for voice in voices:
            style = mx.random.normal((510, 1, 2 * _STYLE)) * 0.5
            mx.save_safetensors(str(folder / "voices" / f"{voice}.safetensors"), {"voice": style})

    _in_the_thread(write)
    return folder


def _drawn(name: str, value: mx.array) -> mx.array:
    # Phonemes of different lengths.
    return mx.random.normal(value.shape) * (3.0 if "duration_proj" in name else 0.3)


def _as_kept(name: str, value: mx.array) -> mx.array:
    """As PyTorch lays it out, which the library undoes."""
    turned = name.endswith("weight_v") or "_proj.weight" in name or ("noise_convs" in name and name.endswith(".weight"))
    if not turned or value.ndim != 3:
        return value
    turned_value = value.transpose(0, 2, 1)
    is_taken_as_it_is = name.endswith("weight_v") and kokoro.check_array_shape(turned_value)
    return value if is_taken_as_it_is else turned_value


def write_mlx_pocket(folder: Path, voices: Sequence[str] = ()) -> Path:
    """A Pocket TTS in ``folder``, which it returns: it streams, and its voices are files of their own."""
    config = {
        "model_type": "pocket_tts",
        "eos_threshold": 1000.0,  # it never has enough, and speaks as long as it may
        "flow_lm": {
            "d_model": 8,
            "num_heads": 2,
            "num_layers": 1,
            "dim_feedforward": 24,
            "max_period": 10000,
            "n_bins": 7,
            "lut_dim": 8,
            "flow_dim": 8,
            "flow_depth": 1,
            "ldim": 4,
        },
        "mimi": {
            "channels": 1,
            "sample_rate": 24000,
            "frame_rate": 12.5,
            "dimension": 8,
            "quantizer_dimension": 4,
            "quantizer_output_dimension": 8,
            "n_filters": 2,
            "n_residual_layers": 1,
            "ratios": [8, 6, 5],
            "kernel_size": 3,
            "last_kernel_size": 3,
            "residual_kernel_size": 3,
            "dilation_base": 2,
            "compress": 2,
            "transformer_d_model": 8,
            "transformer_num_heads": 2,
            "transformer_num_layers": 1,
            "transformer_layer_scale": 0.01,
            "transformer_context": 16,
            "transformer_max_period": 10000,
            "transformer_dim_feedforward": 16,
        },
    }
    folder.mkdir(parents=True)
    words = ["[UNK]", "Hello", "world", "there", ".", ",", "!"]
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def write() -> None:
        mx.random.seed(1)
        model = PocketModel(PocketConfig.from_dict({**config, "model_path": str(folder)}))
        weights = {name: mx.random.normal(value.shape) * 0.2 for name, value in _parameters(model)}
        mx.save_safetensors(str(folder / "model.safetensors"), weights)
        for voice in voices:
            (folder / "voices").mkdir(exist_ok=True)
            style = {"emb": mx.random.normal((1, 3, 8))}
            mx.save_safetensors(str(folder / "voices" / f"{voice}.safetensors"), style)

    _in_the_thread(write)
    return folder


VOCABULARY = ("▁yes", "▁no", "▁well", "▁may", "be", "▁tell", "ing", "▁me", "▁go", ".")
"""What the tiny Parakeet can say, which is babble, but the same for the same audio."""


def write_parakeet(folder: Path, *, rate_hz: int = 16_000) -> Path:
    """A Parakeet TDT in ``folder``, which it returns."""
    config = {
        "target": "nemo.collections.asr.models.rnnt_bpe_models.EncDecRNNTBPEModel",
        "model_defaults": {"tdt_durations": [0, 1, 2, 3, 4]},
        "preprocessor": {
            "sample_rate": rate_hz,
            "normalize": "per_feature",
            "window_size": 0.025,
            "window_stride": 0.01,
            "window": "hann",
            "features": 16,
            "n_fft": 512,
            "dither": 1e-05,
        },
        "encoder": {
            "feat_in": 16,
            "n_layers": 2,
            "d_model": 16,
            "n_heads": 2,
            "ff_expansion_factor": 2,
            "subsampling_factor": 8,
            "self_attention_model": "rel_pos",
            "subsampling": "dw_striding",
            "conv_kernel_size": 9,
            "subsampling_conv_channels": 8,
            "pos_emb_max_len": 5000,
        },
        "decoder": {
            "blank_as_pad": True,
            "vocab_size": len(VOCABULARY),
            "prednet": {"pred_hidden": 16, "pred_rnn_layers": 1},
        },
        "joint": {
            "num_classes": len(VOCABULARY),
            "vocabulary": list(VOCABULARY),
            "jointnet": {"joint_hidden": 16, "activation": "relu", "encoder_hidden": 16, "pred_hidden": 16},
            "num_extra_outputs": 5,
        },
        "decoding": {"model_type": "tdt", "durations": [0, 1, 2, 3, 4], "greedy": {"max_symbols": 2}},
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    def write() -> None:
        mx.random.seed(3)
        weights = {
            name: value if name.endswith(("bias", "running_var", "running_mean")) else mx.random.normal(value.shape)
            for name, value in _parameters(from_config(config))
        }
        mx.save_safetensors(str(folder / "model.safetensors"), weights)

    _in_the_thread(write)
    return folder


def _parameters(model: Any) -> list[tuple[str, mx.array]]:
    flat: Any = tree_flatten(model.parameters())
    return list(flat)


def _in_the_thread(work: Any) -> None:
    lane = open_lane()
    lane.submit(work).result()
    lane.shutdown()
