"""A Voxtral with random weights, made with the libraries' own classes in the files of a real one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import torch
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from transformers import VoxtralConfig, VoxtralForConditionalGeneration, VoxtralProcessor, WhisperFeatureExtractor
from transformers.tokenization_mistral_common import MistralCommonBackend

torch.set_num_threads(1)  # several wait longer for each other than so small a model takes

AUDIO_TOKEN, BEGIN_AUDIO, TRANSCRIBE = 24, 25, 34
"""Where Voxtral has them."""
_NAMED = {AUDIO_TOKEN: "[AUDIO]", BEGIN_AUDIO: "[BEGIN_AUDIO]", TRANSCRIBE: "[TRANSCRIBE]"}
_SPECIALS = 40
VOCABULARY = _SPECIALS + 256
"""Each byte is a token."""
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz ")


def write_voxtral(folder: Path, *, seed: int = 3) -> Path:
    """The files of a model in ``folder``, which it returns.

    It writes small letters and spaces without sense, the likeliest each time, and finds no end.
    """
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    model: Any = VoxtralForConditionalGeneration(_config())
    with torch.no_grad():
        unwritten = [token for token in range(VOCABULARY) if token - _SPECIALS not in _LETTERS]
        model.lm_head.weight[unwritten] = 0.0
    model.save_pretrained(folder)
    tekken = folder / "tekken.json"
    tekken.write_text(json.dumps(_tekken()))
    tokenizer = MistralCommonBackend(tokenizer_path=str(tekken))
    VoxtralProcessor(WhisperFeatureExtractor(feature_size=128), tokenizer).save_pretrained(folder)
    return folder


def _config() -> Any:
    audio = {
        "model_type": "voxtral_encoder",
        "hidden_size": 16,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_mel_bins": 128,
        "max_source_positions": 1500,
    }
    text = {
        "model_type": "llama",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 8192,
        "initializer_range": 0.5,
    }
    return VoxtralConfig(audio_config=audio, text_config=text, audio_token_id=AUDIO_TOKEN)


def _tekken() -> dict[str, Any]:
    """Tokenizer version 7, with the audio settings of the real one."""
    known = {int(token["rank"]): str(token["token_str"]) for token in Tekkenizer.DEPRECATED_SPECIAL_TOKENS} | _NAMED
    names = [known.get(rank, f"<SPECIAL_{rank}>") for rank in range(_SPECIALS)]
    return {
        "config": {
            "pattern": r"[\s\S]",
            "num_vocab_tokens": 256,
            "default_vocab_size": VOCABULARY,
            "default_num_special_tokens": _SPECIALS,
            "version": "v7",
        },
        "vocab": [
            {"rank": byte, "token_bytes": base64.b64encode(bytes([byte])).decode(), "token_str": None}
            for byte in range(256)
        ],
        "special_tokens": [{"rank": rank, "token_str": name, "is_control": True} for rank, name in enumerate(names)],
        "audio": {
            "sampling_rate": 16000,
            "frame_rate": 12.5,
            "audio_encoding_config": {"num_mel_bins": 128, "hop_length": 160, "window_size": 400},
            "chunk_length_s": 30.0,
        },
    }
