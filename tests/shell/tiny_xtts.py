"""An XTTS with random weights, made with the library's own classes, in the files of the real one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from TTS.encoder.models.resnet import ResNetSpeakerEncoder
from TTS.tts.configs.xtts_config import XttsArgs, XttsConfig
from TTS.tts.layers.xtts import hifigan_decoder
from TTS.tts.layers.xtts.tokenizer import VoiceBpeTokenizer
from TTS.tts.models import xtts

torch.set_num_threads(1)  # several wait longer for each other than so small a model takes

_CHANNELS = 32
_CODES = 64
_MARKS = ("[STOP]", "[START]", "[UNK]", "[SPACE]")


@contextmanager
def small_sizes() -> Iterator[None]:
    """The vocoder and the encoder of speakers have sizes of their own, which no configuration tells the library."""
    decoder = partial(hifigan_decoder.HifiDecoder, upsample_initial_channel_decoder=16)
    encoder = partial(ResNetSpeakerEncoder, num_filters=[8, 8, 8, 8], layers=[1, 1, 1, 1])
    with patch.object(xtts, "HifiDecoder", decoder), patch.object(hifigan_decoder, "ResNetSpeakerEncoder", encoder):
        yield


def write_xtts_model(folder: Path, speakers: Sequence[str] = ("Ana", "Bo"), most_steps: int = 605) -> Path:
    """The files of a model in ``folder``, which it returns. It takes the likeliest code each time, and finds no end.

    Without ``small_sizes`` it has 90 MB.
    """
    folder.mkdir(parents=True)
    torch.manual_seed(5)
    _write_tokenizer(folder / "vocab.json")
    config = XttsConfig(top_k=1, repetition_penalty=5.0, gpt_cond_len=6, gpt_cond_chunk_len=4)
    config.model_args = XttsArgs(
        gpt_layers=2,
        gpt_n_model_channels=_CHANNELS,
        gpt_n_heads=4,
        gpt_max_audio_tokens=most_steps,
        gpt_num_audio_tokens=_CODES + 2,
        gpt_start_audio_token=_CODES,
        gpt_stop_audio_token=_CODES + 1,
        gpt_use_perceiver_resampler=True,
        decoder_input_dim=_CHANNELS,
    )
    config.save_json(str(folder / "config.json"))
    model: Any = xtts.Xtts(config)
    model.tokenizer = VoiceBpeTokenizer(folder / "vocab.json")
    model.init_models()
    with torch.no_grad():
        _liven(model.gpt, {"": 4, "text_embedding": 8, "attn.c_attn.weight": 2, "attn.c_proj.weight": 8})
        _liven(model.hifigan_decoder.waveform_decoder, {"bias": 0, "cond": 0.05, "conv_pre": 10, "conv_post": 6})
        model.gpt.mel_head.bias[_CODES + 1] = -1e4  # the end
    torch.save({"model": model.state_dict(), "config": config.to_dict()}, folder / "model.pth")
    voices = {
        name: {"gpt_cond_latent": torch.randn(1, 32, _CHANNELS), "speaker_embedding": torch.randn(1, 512, 1)}
        for name in speakers
    }
    torch.save(voices, folder / "speakers_xtts.pth")
    return folder


def _liven(module: Any, factors: Mapping[str, float]) -> None:
    """Makes what comes out depend on what goes in: as the library begins, hardly anything does."""
    for name, weights in module.named_parameters():
        for part, factor in factors.items():
            if part in name:
                weights.mul_(factor)


def _write_tokenizer(path: Path) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = (*_MARKS, *letters)
    tokenizer = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, [], unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens(list(_MARKS))
    tokenizer.save(str(path))
