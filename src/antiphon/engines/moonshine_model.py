"""The Moonshine tiny model on onnxruntime: samples in, text out, one call at a time or several in threads.

The network (an encoder over raw audio, a decoder with a key-value cache) is that of Jeffries et al., "Moonshine:
Speech Recognition for Live Transcription and Voice Commands" (2024); the files are those in the wheel of
``moonshine-voice``. That package's own C++ runtime is not used: it recognizes everything anew each time, and cannot
be stopped. Here a text guessed before (a *draft*: what was recognized when there was less audio) is checked in one
pass of the decoder instead of being spelt out again token by token. The result is that of plain greedy decoding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from antiphon.audio import EAR_RATE_HZ, Samples

_START = 1
_END = 2
_HEADS, _HEAD_SIZE = 8, 36
_SAMPLES_PER_FRAME = 64 * 3 * 2
"""The strides of the encoder's three convolutions; the decoder thins out its mask by the same."""

_MIN_SAMPLES = EAR_RATE_HZ // 10
"""Of less than 100 ms nothing is recognized."""

_PADDING = np.zeros(EAR_RATE_HZ // 10, np.float32)
"""Silence put after the audio. Where a recording breaks off within a word, the model otherwise makes up how it goes on:
this takes away six of seven words that later audio would have proved wrong."""

_TOKENS_PER_S = 6.5
"""More is babble: the model was trained on speech up to this rate, and its authors cut it there too."""
_TOKENS_AT_LEAST = 4

_LEAST_CONFIDENCE = 0.4
"""The geometric mean of the tokens' probabilities. Measured: noise 0.07 to 0.4 (mostly), single words 0.45 to 0.95."""

_CAPTION_ENDS = ("thank you for watching", "thanks for watching")

_Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model makes of some audio. ``text`` is "" where it holds no speech.

    ``whole`` is false where it was stopped before the end: then only ``tokens`` are of use, as a draft.
    """

    text: str
    tokens: tuple[int, ...] = ()
    whole: bool = True


NOTHING = Guess("")


def never() -> bool:
    return False


class MoonshineModel:
    """One loaded copy. ``recognize`` may run in several threads at once. Loading takes some 0.4 s."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        folder = files("moonshine_voice") / "assets" / "tiny-en"
        self._vocabulary = _read_vocabulary((folder / "tokenizer.bin").read_bytes())
        self._encoder, self._decoder = (
            _open_session(folder / f"{part}.ort", options) for part in ("encoder_model", "decoder_model_merged")
        )
        past = [each.name for each in self._decoder.get_inputs() if each.name.startswith("past_key_values")]
        self._past_self = [name for name in past if ".decoder." in name]
        self._past_cross = [name for name in past if ".encoder." in name]

    def recognize(self, samples: Samples, draft: Sequence[int] = (), should_stop: Callable[[], bool] = never) -> Guess:
        """Recognizes mono s16 at 16 kHz, best up to some 12 s. ``should_stop`` is asked between steps of some ms."""
        if len(samples) < _MIN_SAMPLES:
            return NOTHING
        if should_stop():
            return Guess("", tuple(draft), whole=False)
        audio = np.concatenate([samples.astype(np.float32) / 32768, _PADDING])[np.newaxis]
        hidden = self._encoder.run(
            ["last_hidden_state"], {"input_values": audio, "attention_mask": np.ones(audio.shape, np.int64)}
        )[0]
        limit = int(len(samples) / EAR_RATE_HZ * _TOKENS_PER_S) + _TOKENS_AT_LEAST
        decoding = _Decoding(self, hidden, limit)
        decoding.check(draft)
        while not decoding.over:
            if should_stop():
                return Guess("", tuple(decoding.tokens), whole=False)
            decoding.step()
        return self._guess(decoding)

    def run_decoder(self, feed: dict[str, Any], wanted: list[str]) -> list[_Floats]:
        outputs: list[_Floats] = self._decoder.run(wanted, feed)
        return outputs

    @property
    def past_self(self) -> list[str]:
        """The decoder's inputs that hold its attention to the text so far."""
        return self._past_self

    @property
    def past_cross(self) -> list[str]:
        """Those that hold its attention to the audio."""
        return self._past_cross

    def _guess(self, decoding: _Decoding) -> Guess:
        tokens = [token for token in decoding.tokens if token != _END]
        text = b"".join(self._vocabulary[token] for token in tokens).decode(errors="replace")
        text = " ".join(text.replace("\u2581", " ").split()).replace(",,", ",")
        if decoding.confidence < _LEAST_CONFIDENCE or _is_nothing(text):
            return Guess("", tuple(tokens))
        return Guess(text, tuple(tokens))


def _open_session(file: Traversable, options: onnxruntime.SessionOptions) -> Any:
    with as_file(file) as path:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _is_nothing(text: str) -> bool:
    """Whether the text is what the model writes for audio without speech.

    That is one word, mostly "You" or "Mm-Hmm", without a full stop, which single words that were spoken have; rows
    of notes; and of long noise what captions end with.
    """
    if text.strip(".!").lower() in _CAPTION_ENDS or not any(char.isalnum() for char in text):
        return True
    return " " not in text and text[-1].isalnum()


class _Decoding:
    """Greedy decoding of one piece of audio."""

    def __init__(self, model: MoonshineModel, hidden: _Floats, limit: int) -> None:
        self._model = model
        self._limit = limit
        self._log_probability = 0.0
        self._cache: list[_Floats] = []
        self.tokens: list[int] = []
        self._feed: dict[str, Any] = {
            "encoder_hidden_states": hidden,
            "encoder_attention_mask": np.ones((1, hidden.shape[1] * _SAMPLES_PER_FRAME), np.int64),
        }

    @property
    def over(self) -> bool:
        return bool(self.tokens) and (self.tokens[-1] == _END or len(self.tokens) >= self._limit)

    @property
    def confidence(self) -> float:
        """Geometric mean of the probabilities of the tokens."""
        return float(np.exp(self._log_probability / max(len(self.tokens), 1)))

    def check(self, draft: Sequence[int]) -> None:
        """The first pass: takes over as much of the draft as greedy decoding would have written, and one token."""
        model = self._model
        names = model.past_self + model.past_cross
        nothing = np.zeros((1, _HEADS, 0, _HEAD_SIZE), np.float32)
        self._feed |= dict.fromkeys(names, nothing)
        self._feed["use_cache_branch"] = np.array([False])
        draft = draft[: self._limit - 1]
        logits, cache = self._run([_START, *draft], names)
        self._feed["use_cache_branch"] = np.array([True])
        self._feed |= dict(zip(model.past_cross, cache[len(model.past_self) :], strict=True))
        self._take(logits, cache[: len(model.past_self)], draft, before=1)

    def step(self) -> None:
        """One more token."""
        logits, cache = self._run(self.tokens[-1:], self._model.past_self)
        self._take(logits, cache, (), before=0)

    def _run(self, tokens: list[int], names: list[str]) -> tuple[_Floats, list[_Floats]]:
        self._feed["input_ids"] = np.array([tokens], np.int64)
        wanted = ["logits", *(name.replace("past_key_values", "present") for name in names)]
        logits, *cache = self._model.run_decoder(self._feed, wanted)
        return logits[0], cache

    def _take(self, logits: _Floats, cache: list[_Floats], draft: Sequence[int], before: int) -> None:
        """Takes the tokens that the decoder agrees on, and its own next one; cuts the cache to them.

        ``before`` is the number of tokens in the cache that are not in ``tokens``.
        """
        chosen = logits.argmax(axis=1)
        agreed = 0
        while agreed < len(draft) and chosen[agreed] == draft[agreed] != _END:
            agreed += 1
        for row in range(agreed + 1):
            best = logits[row, chosen[row]]
            self._log_probability -= float(np.log(np.exp(logits[row] - best).sum()))
            self.tokens.append(int(chosen[row]))
        if draft:
            cache = [part[:, :, : before + agreed] for part in cache]
        self._feed |= dict(zip(self._model.past_self, cache, strict=True))


def _read_vocabulary(data: bytes) -> list[bytes]:
    """The pieces of text by token. The file holds each with its length before it, in one byte, or from 128 on in two
    (the low seven bits first). Special tokens have no text."""
    pieces: list[bytes] = []
    at = 0
    while at < len(data):
        length = data[at]
        at += 1
        if length >= 128:
            length += (data[at] - 1) * 128
            at += 1
        piece = data[at : at + length]
        at += length
        pieces.append(b"" if piece.startswith(b"<") and piece.endswith(b">") and length > 2 else piece)
    return pieces
