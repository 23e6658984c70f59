"""One turn of the user as Parakeet hears it, in the thread of MLX.

What is shown while the user speaks comes from the library's stream, which hears each second once and the one before it
again, so that it costs the same all along. It does so piece by piece, each levelled by itself, and is surer of what it
hears whole: so that is how the first second is heard, and every final. For that a long turn is cut in its pauses, and
the words before a cut stand. The cut also keeps a stream shorter than its memory, beyond which the library would take
what it remembers for older than it is.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from typing import Any

import numpy as np

from antiphon.audio import EAR_RATE_HZ, Samples, samples_of
from antiphon.engines.base import HeardWord, Transcript
from antiphon.engines.pauses import where_to_cut
from antiphon.engines.whole_turns import MAX_TURN_S

LEAST_S = 0.1
"""Of less audio nothing is recognized."""
STEP_S = 1.0
"""What the stream is given at a time: enough to be levelled by itself."""

_CUT_FROM_MS = 12_000
_CUT_AT_MS = 20_000
_FRAMES_BEFORE = 256
"""Encoded frames (of 80 ms) that a stream remembers: 20.5 s, which no piece exceeds."""
_FRAMES_AFTER = 12
"""Encoded frames that are heard again with what follows them: about a second."""

Passes = Generator[None, None, Transcript | None]
"""A step for each pass of the model. It ends with None when it was given up."""


class TurnAudio:
    """The audio of a turn that is not cut off yet. ``feed`` is called in the event loop, the rest in the thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pcm = bytearray()
        self._cut_bytes = 0
        self.fed_bytes = 0

    def feed(self, pcm: bytes) -> None:
        taken = pcm[: int(MAX_TURN_S * EAR_RATE_HZ) * 2 - self.fed_bytes]
        with self._lock:
            self._pcm += taken
        self.fed_bytes += len(taken)

    def uncut(self, end_bytes: int | None) -> Samples:
        """Up to that byte of the turn; all of it without one."""
        with self._lock:
            end = None if end_bytes is None else max(0, end_bytes - self._cut_bytes)
            return samples_of(bytes(memoryview(self._pcm)[:end]))

    def cut(self, samples: int) -> None:
        with self._lock:
            del self._pcm[: 2 * samples]
            self._cut_bytes += 2 * samples

    @property
    def cut_ms(self) -> int:
        return self._cut_bytes * 1000 // (2 * EAR_RATE_HZ)


class ParakeetTurn:
    """What is known of a turn. Between two of its passes there may be other turns', and those of a given up partial."""

    def __init__(self, model: Any, audio: TurnAudio) -> None:
        self._model = model
        self._audio = audio
        self._standing: list[Transcript] = []
        self._stream: Any = None
        self._streamed_samples = 0

    def final(self, end_bytes: int, given_up: threading.Event) -> Passes:
        """Recognizes the turn up to that byte."""
        while not given_up.is_set():
            samples = self._audio.uncut(end_bytes)
            if not self._put_away(samples):
                return self._whole(hear(self._model, samples, self._audio.cut_ms))
            yield
        return None

    def partial(self, given_up: threading.Event) -> Passes:
        """What is known of all that was fed until now."""
        step = int(STEP_S * EAR_RATE_HZ)
        while not given_up.is_set():
            samples = self._audio.uncut(None)
            if self._put_away(samples):
                yield
            elif len(samples) < step:
                return self._whole(hear(self._model, samples, self._audio.cut_ms))
            elif len(samples) < self._streamed_samples + step:
                return self._whole(Transcript(_joined(self._stream.result.text)))
            else:
                self._listen_on(samples[self._streamed_samples : self._streamed_samples + step])
                yield
        return None

    def forget(self) -> None:
        """Frees what the stream remembers, in the thread in which it was made."""
        self._stream = None

    def _put_away(self, samples: Samples) -> bool:
        """Hears what lies before the first cut, if there is one, and has it stand."""
        cut = where_to_cut(samples, _CUT_FROM_MS, _CUT_AT_MS)
        if cut is None:
            return False
        self._standing.append(hear(self._model, samples[:cut], self._audio.cut_ms))
        self._audio.cut(cut)
        self._stream, self._streamed_samples = None, 0
        return True

    def _listen_on(self, samples: Samples) -> None:
        if self._stream is None:
            # The other attention is for Apple's GPUs alone, and would take the place of this one for all turns.
            self._stream = self._model.transcribe_stream(
                context_size=(_FRAMES_BEFORE, _FRAMES_AFTER), keep_original_attention=True
            )
        self._stream.add_audio(_sound(samples))
        self._streamed_samples += len(samples)

    def _whole(self, last: Transcript) -> Transcript:
        heard = [*self._standing, last]
        text = _joined(" ".join(piece.text for piece in heard))
        return Transcript(text, tuple(word for piece in heard for word in piece.words))


def hear(model: Any, samples: Samples, start_ms: int) -> Transcript:
    """One pass over audio that begins at ``start_ms`` of its turn."""
    import mlx.core as mx
    from parakeet_mlx.audio import get_logmel

    if len(samples) < int(LEAST_S * EAR_RATE_HZ):
        return Transcript("")
    result = model.generate(get_logmel(_sound(samples), model.preprocessor_config))[0]
    mx.clear_cache()  # every length of audio has buffers of its own size
    return Transcript(_joined(result.text), _words(result.tokens, start_ms, len(samples) * 1000 // EAR_RATE_HZ))


def _sound(samples: Samples) -> Any:
    import mlx.core as mx

    return mx.array(samples.astype(np.float32) / 32768)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _words(tokens: Sequence[Any], start_ms: int, length_ms: int) -> tuple[HeardWord, ...]:
    """The words and their times in the turn. A token that begins with a space begins a word."""
    spelt: list[tuple[str, float, float]] = []
    for token in tokens:
        if spelt and not token.text.startswith(" "):
            text, start_s, _ = spelt[-1]
            spelt[-1] = text + token.text, start_s, token.end
        else:
            spelt.append((token.text, token.start, token.end))
    words: list[HeardWord] = []
    last_ms = 0
    for text, start_s, end_s in spelt:
        begins_ms = min(max(round(start_s * 1000), last_ms), length_ms)
        last_ms = min(max(round(end_s * 1000), begins_ms), length_ms)
        if text.strip():
            words.append(HeardWord(text.strip(), start_ms + begins_ms, start_ms + last_ms))
    return tuple(words)
