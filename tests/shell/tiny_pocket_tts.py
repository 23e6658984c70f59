"""A model of pocket-tts with random weights, made with the package's own classes, in the files of the real ones."""

from __future__ import annotations

import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

NEVER = 1e9
"""A threshold that no logit crosses: the model speaks until its limit, a third of a second for each token and two."""


def _config(eos_threshold: float) -> dict[str, Any]:
    seanet = {
        "dimension": 16,
        "channels": 1,
        "n_filters": 2,
        "n_residual_layers": 1,
        "ratios": [6, 5, 4],
        "kernel_size": 7,
        "residual_kernel_size": 3,
        "last_kernel_size": 3,
        "dilation_base": 2,
        "pad_mode": "constant",
        "compress": 2,
    }
    transformer = {
        "d_model": 16,
        "num_heads": 2,
        "num_layers": 1,
        "layer_scale": 0.01,
        "context": 250,
        "dim_feedforward": 32,
        "input_dimension": 16,
        "output_dimensions": [16],
    }
    return {
        "default_temperature": 0.0,
        "default_eos_threshold": eos_threshold,
        "weights_path": "hf://kyutai/pocket-tts/languages/tiny/model.safetensors@1",
        "flow_lm": {
            "dtype": "float32",
            "insert_bos_before_voice": True,
            "flow": {"depth": 1, "dim": 16},
            "transformer": {"d_model": 32, "hidden_scale": 2, "max_period": 10000, "num_heads": 2, "num_layers": 2},
            "lookup_table": {
                "dim": 32,
                "n_bins": 256,
                "tokenizer": "tokenizers",
                "tokenizer_path": "hf://kyutai/pocket-tts/languages/tiny/tokenizer.json@1",
            },
        },
        "mimi": {
            "dtype": "float32",
            "sample_rate": 24000,
            "inner_dim": 8,
            "outer_dim": 16,
            "channels": 1,
            "frame_rate": 12.5,
            "seanet": seanet,
            "transformer": transformer,
            "quantizer": {"dimension": 8, "output_dimension": 16},
        },
    }


def write_pocket_model(
    folder: Path, voices: Sequence[str] = ("alba", "marius"), *, cloning: bool = True, eos_threshold: float = NEVER
) -> Path:
    """The files of a model in ``folder``, which it returns. Its voices are cloned from tones."""
    from pocket_tts import TTSModel
    from pocket_tts.models.mimi import build_mimi
    from pocket_tts.models.model_state import export_model_state
    from pocket_tts.models.tts_model import stamp_state_names
    from pocket_tts.utils.config import Config

    torch.manual_seed(1)
    (folder / "embeddings").mkdir(parents=True)
    config = _config(eos_threshold)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    config["flow_lm"]["lookup_table"]["tokenizer_path"] = str(folder / "tokenizer.json")
    made = Config(**config)
    model: Any = TTSModel._from_pydantic_config(made, 0.0, 1, None, eos_threshold, origin=None)
    model.flow_lm.speaker_proj_weight = torch.nn.Parameter(torch.randn(32, 8))
    model.mimi = build_mimi(made.mimi)
    with torch.no_grad():  # so that what is said, and by whom, can be heard
        for parameter in model.flow_lm.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        model.flow_lm.speaker_proj_weight.mul_(50.0)
        for name, parameter in model.mimi.named_parameters():
            parameter.mul_(0.0 if name.endswith("bias") else 1.6)
    safetensors.torch.save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()},
        folder / ("model.safetensors" if cloning else "model_without_voice_cloning.safetensors"),
    )
    stamp_state_names(model)
    for number, voice in enumerate(voices):
        state = model.get_state_for_audio_prompt(torch.from_numpy(_tone(200.0 + 150 * number, 24000, 1.0))[None, :])
        export_model_state(state, folder / "embeddings" / f"{voice}.safetensors")
    return folder


def write_recording(path: Path, pitch_hz: float, seconds: float = 1.0, rate_hz: int = 16000) -> Path:
    """A WAV file with a tone that swells. Returns ``path``."""
    pcm = (_tone(pitch_hz, rate_hz, seconds) * 32767).astype("<i2")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.tobytes())
    return path


def _tone(pitch_hz: float, rate_hz: int, seconds: float) -> Any:
    clock = np.arange(int(rate_hz * seconds)) / rate_hz
    return (0.5 * np.sin(2 * np.pi * pitch_hz * clock) * np.sin(np.pi * clock / seconds)).astype(np.float32)
