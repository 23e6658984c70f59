"""Kokoro as mlx-audio's model of it computes it: from phonemes, with the times of the words.

mlx-audio would make the phonemes with ``misaki``, which needs spaCy and downloads a model of its own at first use. Here
they come from eSpeak NG, as those of Kokoro on onnxruntime do.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antiphon.core.speech import Word
from antiphon.engines.base import VoiceInfo
from antiphon.engines.kokoro_phonemes import LANGUAGE_OF_LETTER, espeak_language, phonemes_of, speakable
from antiphon.engines.phoneme_words import timed_words
from antiphon.errors import EngineError

Rendered = tuple[npt.NDArray[np.float32], list[Word]]
"""Samples from -1 to 1, and words whose times count from the first of them, at the same rate."""

MOST_PHONEMES = 510
"""In one pass: the model's context less its two marks, and the length of a voice's table of styles."""


def is_kokoro(config: dict[str, Any]) -> bool:
    """Whether a model's config.json is one of Kokoro's, which did not always say so."""
    return config.get("model_type") == "kokoro" or {"istftnet", "plbert", "vocab"} <= config.keys()


class MlxKokoro:
    """A model and its voices. Made and used in the thread of MLX."""

    def __init__(self, folder: Path) -> None:
        """Raises EngineError for a folder without voices, and whatever a broken model does to the library."""
        import mlx.core as mx
        from mlx_audio.tts.utils import load_model

        files = {file.stem: file for file in sorted((folder / "voices").glob("*.safetensors"))}
        offered = {name: file for name, file in files.items() if name[0] in LANGUAGE_OF_LETTER}
        if not offered:
            raise EngineError(f"{folder} has no voices/*.safetensors in a language that is offered: get them as well")
        self._model: Any = load_model(folder, model_type="kokoro", model_name_parts=[])
        loaded: dict[str, Any] = {name: mx.load(str(file)) for name, file in offered.items()}
        self._styles = {name: tensors["voice"] for name, tensors in loaded.items()}
        mx.eval(*self._styles.values())
        self.voices = tuple(VoiceInfo(name, LANGUAGE_OF_LETTER[name[0]]) for name in offered)

    @property
    def rate_hz(self) -> int:
        return int(self._model.sample_rate)

    def speak(self, text: str, voice: str, speed: float) -> Generator[Rendered]:
        """A pass of the model for each stretch of ``text`` that fits into one; mostly there is one."""
        language = espeak_language(voice)
        spoken = speakable(text)
        known = "".join(sound for sound in phonemes_of(spoken, language) if sound in self._model.vocab).strip()
        stretches = [stretch for stretch in _stretches(known) if any(sound.isalpha() for sound in stretch)]
        for stretch in stretches:
            sound, edges = self._pass(stretch, voice, speed)
            # Several stretches come of texts that are mostly numbers: nobody knows which word is in which.
            whole = len(stretches) == 1
            words = timed_words(spoken, stretch, edges, lambda word: phonemes_of(word, language)) if whole else []
            yield sound, words

    def _pass(self, phonemes: str, voice: str, speed: float) -> tuple[npt.NDArray[np.float32], list[int]]:
        """The sound, and the samples at which the phonemes begin, and at which the last one ends."""
        import mlx.core as mx

        style = self._styles[voice][len(phonemes) - 1]
        made = self._model(phonemes, style, speed, return_output=True)
        sound = np.array(made.audio.astype(mx.float32)).reshape(-1)
        frames = [int(count) for count in np.array(made.pred_dur)]
        mx.clear_cache()  # as the library does after each pass: every length of text has buffers of its own size
        samples_per_frame = len(sound) / max(1, sum(frames))
        ends = list(accumulate(frames))[:-1]  # of the mark before, and of each phoneme
        return sound, [round(end * samples_per_frame) for end in ends]


def _stretches(phonemes: str) -> Iterator[str]:
    """``phonemes`` cut at spaces, where there are, into what fits into one pass."""
    while len(phonemes) > MOST_PHONEMES:
        space = phonemes.rfind(" ", 0, MOST_PHONEMES)
        end = space if space > 0 else MOST_PHONEMES
        yield phonemes[:end].strip()
        phonemes = phonemes[end:].strip()
    yield phonemes
