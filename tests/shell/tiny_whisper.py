"""A Whisper of one layer in CTranslate2's own format, with weights drawn at random but for its last ones.

Those make it say the same sentence whatever it hears: each token's embedding calls up the next token.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SAID = ("Good", "morning", "friend")

_SIZE = 64
_MELS = 80
_WINDOW_FRAMES = 1500
_MOST_TOKENS = 448
_SURE = 4.0
_SPECIAL = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)


def write_whisper(folder: Path) -> Path:
    """model.bin, config.json, vocabulary.json and tokenizer.json in ``folder``, which it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    tokens = _write_tokenizer(folder / "tokenizer.json")
    spec = ctranslate2.specs.WhisperSpec(1, 2, 1, 2)
    random = np.random.default_rng(1)
    _fill(spec, random, len(tokens))
    _teach(spec.decoder, tokens)
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    spec.config.suppress_ids_begin = [tokens.index("<|endoftext|>")]
    spec.config.alignment_heads = [(0, 0), (0, 1)]
    spec.config.lang_ids = [tokens.index("<|en|>")]
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    return folder


def _write_tokenizer(path: Path) -> list[str]:
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *(f"Ġ{word}" for word in SAID)]
    special = [*_SPECIAL, *(f"<|{step * 0.02:.2f}|>" for step in range(1501))]
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(path))
    return [*words, *special]


def _fill(spec: Any, random: np.random.Generator, vocabulary: int) -> None:
    """Gives every weight that has none its shape, by its name."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder/conv1/weight": (_SIZE, _MELS, 3),
        "encoder/conv2/weight": (_SIZE, _SIZE, 3),
        "encoder/position_encodings/encodings": (_WINDOW_FRAMES, _SIZE),
        "decoder/position_encodings/encodings": (_MOST_TOKENS, _SIZE),
        "decoder/embeddings/weight": (vocabulary, _SIZE),
        "decoder/projection/weight": (vocabulary, _SIZE),
    }
    outputs = {"self_attention": (3 * _SIZE, _SIZE), "attention": (_SIZE, 2 * _SIZE, _SIZE)}

    def visit(part: Any, name: str, value: Any) -> None:
        attribute = name.rpartition("/")[2]
        if value is not None and name not in shapes:
            return  # set by the spec, or can be left out
        if name in shapes:
            filled = random.normal(0, 0.05, shapes[name])
        elif attribute == "gamma":
            filled = np.ones(_SIZE)
        elif attribute == "beta":
            filled = np.zeros(_SIZE)
        else:
            columns = 4 * _SIZE if "ffn/linear_1" in name else _SIZE
            filled = random.normal(0, 0.2, (_rows(name, outputs), columns))
        setattr(part, attribute, filled.astype(np.float32))

    ctranslate2.specs.model_spec.visit_spec(spec, visit)


def _rows(name: str, outputs: dict[str, tuple[int, ...]]) -> int:
    for attention, rows in outputs.items():
        if f"/{attention}/linear_" in name:
            return rows[int(name.split("/linear_")[1].partition("/")[0])]
    return 4 * _SIZE if "ffn/linear_0" in name else _SIZE


def _teach(decoder: Any, tokens: list[str]) -> None:
    """The layer adds nothing to the embeddings, and the projection looks for the embedding of the token before."""
    layer = decoder.layer[0]
    for linear in (layer.self_attention.linear[-1], layer.attention.linear[-1], layer.ffn.linear_1):
        linear.weight = np.zeros_like(linear.weight)
    decoder.position_encodings.encodings = np.zeros_like(decoder.position_encodings.encodings)
    embedded = decoder.embeddings.weight
    centred = embedded - embedded.mean(axis=1, keepdims=True)
    normed = centred / centred.std(axis=1, keepdims=True)
    sentence = [*(tokens.index(f"Ġ{word}") for word in SAID), tokens.index("<|endoftext|>")]
    for before, after in pairwise(sentence):
        decoder.projection.weight[after] = _SURE * normed[before] / np.sqrt(_SIZE)
    starts = ("<|notimestamps|>", "<|0.00|>")
    decoder.projection.weight[sentence[0]] = (
        _SURE * sum(normed[tokens.index(start)] for start in starts) / np.sqrt(_SIZE)
    )
