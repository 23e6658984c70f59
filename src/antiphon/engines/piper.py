"""Piper (GPL-3.0): VITS voices for some forty languages, several times faster than real time on one core.

The package ``piper-tts`` phonemizes and runs the voice; each voice is an ONNX file with a JSON file beside it. A
sentence comes whole. Word times are made from the durations that the voice gives its phonemes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from antiphon.core.speech import AudioChunk, Voice, Word
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.model_files import is_path, model_folder, only_file
from antiphon.engines.onnx_runs import StoppableSession, open_session
from antiphon.engines.phoneme_words import timed_words
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit, speak_segments
from antiphon.errors import EngineError

_log = structlog.get_logger(__name__)

_THREADS = 2
_VOLUME = 0.7
"""Piper brings every sentence to full scale; 3 dB less leaves room for what resampling adds."""
_SPEEDS = (0.25, 4.0)
_LANGUAGE = re.compile(r"([a-z]{2,3})_([A-Z]{2})\b")
_UNKNOWN_LANGUAGE = "und"


@dataclass(frozen=True, slots=True)
class PiperScales:
    """How it speaks; None for what the voice's own configuration says."""

    length_scale: float | None = None
    """How slowly."""
    noise_scale: float | None = None
    """How lively."""
    noise_w_scale: float | None = None
    """How much the lengths of phonemes vary."""


class PiperSynthesizer:
    """The Synthesizer over one Piper voice. The speakers of a voice that has several go by "voice:speaker"."""

    def __init__(self, model: str, config: Path | None = None, scales: PiperScales | None = None) -> None:
        """``model`` is the name of a voice that was pulled, or the path of its ONNX file.

        ``config`` is its JSON file, if it is not beside the ONNX file under its name and ``.json``.
        """
        self._model = model
        self._config = config
        self._scales = scales or PiperScales()
        self._short = Path(model).stem if is_path(model) else model
        self._language = _language_of(self._short)
        self._speakers: dict[str, int | None] = {self._short: None}
        self._voice: Any = None
        self._executor = ThreadPoolExecutor(_THREADS, "piper")

    @property
    def name(self) -> str:
        return f"piper:{self._short}"

    @property
    def description(self) -> str:
        return f"Piper, {self._short}: a neural voice on this machine's CPU"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(VoiceInfo(name, self._language) for name in self._speakers)

    @property
    def capabilities(self) -> Capabilities:
        languages = () if self._language == _UNKNOWN_LANGUAGE else (self._language,)
        return Capabilities(languages=languages, voices=self.voices)

    async def load(self) -> None:
        """Raises EngineError when the package or the voice's files are missing, or the files are broken."""
        if self._voice is not None:
            return
        loop = asyncio.get_running_loop()
        voice, language = await loop.run_in_executor(self._executor, _read_voice, self._path(), self._config)
        await loop.run_in_executor(self._executor, self._warm, voice)
        self._language = language
        self._speakers = {self._short: None}
        if voice.config.num_speakers > 1:
            self._speakers |= {f"{self._short}:{name}": number for name, number in voice.config.speaker_id_map.items()}
        self._voice = voice

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._voice = None

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        if self._voice is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        session = StoppableSession(self._voice.session)
        speaking = replace(self._voice, session=session)
        render = partial(_render, speaking, self._speakers.get(voice.name), self._scales, voice.speed)
        chunks = speak_segments(text, self._executor, render)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            session.stop()
            await chunks.aclose()

    def _path(self) -> Path:
        if is_path(self._model):
            return Path(self._model).expanduser()
        return only_file(model_folder("piper", self._model), f"{self._model}.onnx")

    @staticmethod
    def _warm(voice: Any) -> None:
        session = StoppableSession(voice.session)
        _render(replace(voice, session=session), None, PiperScales(), 1.0, "Ready.", lambda _pcm, _words: True)


def _read_voice(path: Path, config: Path | None) -> tuple[Any, str]:
    """A PiperVoice and its language. Raises EngineError."""
    try:
        from piper import PiperConfig, PiperVoice
    except ImportError as error:
        raise EngineError("Piper is not installed: run `pip install 'antiphon[piper]'`") from error
    logging.getLogger("piper").setLevel(logging.WARNING)  # it tells every text
    settings = config or Path(f"{path}.json")
    for file in (path, settings):
        if not file.is_file():
            raise EngineError(f"Piper needs the file {file}: run `antiphon models pull piper:{path.stem}`")
    try:
        read = json.loads(settings.read_text(encoding="utf-8"))
        voice = PiperVoice(session=open_session(_with_durations(path)), config=PiperConfig.from_dict(read))
    except Exception as error:  # whatever a broken file does to the libraries
        raise EngineError(f"the Piper voice {path} cannot be read ({error}): pull it again") from error
    code = str(read.get("language", {}).get("code", "")).replace("_", "-")
    return voice, code or _language_of(path.stem)


def _with_durations(path: Path) -> bytes | Path:
    """The model with its phonemes' durations among its outputs, where it has them and ``onnx`` is there to say so."""
    try:
        import onnx
        from piper.patch_voice_with_alignment import add_alignment_output
    except ImportError:
        _log.info("piper_without_word_times", reason="the package onnx is not installed")
        return path
    model = onnx.load(str(path))
    try:
        add_alignment_output(model)
    except ValueError:  # the outputs are there already, or the model has none
        return path
    return bytes(model.SerializeToString())


def _render(voice: Any, speaker: int | None, scales: PiperScales, speed: float, text: str, emit: Emit) -> None:
    """Speaks one part, in a thread."""
    from piper import SynthesisConfig

    low, high = _SPEEDS
    own_scale = voice.config.length_scale if scales.length_scale is None else scales.length_scale
    settings = SynthesisConfig(
        speaker_id=speaker,
        length_scale=own_scale / min(max(speed, low), high),
        noise_scale=scales.noise_scale,
        noise_w_scale=scales.noise_w_scale,
        volume=_VOLUME,
    )
    # In two brackets Piper expects phonemes.
    spoken = text.replace("[[", "[ ").replace("]]", " ]").replace("\0", " ").encode("utf-8", "ignore").decode()
    if not any(character.isalnum() for character in spoken):
        return
    part = RenderedPart(text, voice.config.sample_rate, emit)
    try:
        words: _Words | None = None
        for sentence in voice.synthesize(spoken, settings, include_alignments=True):
            words = words or _Words(voice, spoken)
            if not part.push(sentence.audio_float_array, words.of(sentence)):
                return
    except Exception as error:
        if voice.session.stopped:
            return
        raise EngineError(f"Piper could not speak this text ({error})") from error
    part.finish()


class _Words:
    """The words of a part and their times, sentence by sentence."""

    def __init__(self, voice: Any, text: str) -> None:
        phonemes = [phoneme for sentence in voice.phonemize(text) for phoneme in sentence]
        places = range(len(phonemes) + 1)
        found = timed_words(text, phonemes, places, lambda word: "".join(map("".join, voice.phonemize(word))))
        self._words = found if len(found) > 0 else []
        self._phonemes = 0  # of the sentences so far

    def of(self, sentence: Any) -> list[Word]:
        """The words in an AudioChunk of Piper's, at its rate; none where it has no durations."""
        first = self._phonemes
        self._phonemes += len(sentence.phonemes)
        if sentence.phoneme_alignments is None:
            return []
        # The first and the last are Piper's own marks of begin and end.
        edges = [int(sentence.phoneme_alignments[0].num_samples)]
        for phoneme in sentence.phoneme_alignments[1:-1]:
            edges.append(edges[-1] + int(phoneme.num_samples))
        return [
            replace(word, start_sample=edges[word.start_sample - first], end_sample=edges[word.end_sample - first])
            for word in self._words
            if first <= word.start_sample and word.end_sample <= self._phonemes
        ]


def _language_of(name: str) -> str:
    """The BCP 47 language in a voice's name, as in "en_US-amy-medium"."""
    found = _LANGUAGE.match(name)
    return "-".join(found.groups()) if found else _UNKNOWN_LANGUAGE
