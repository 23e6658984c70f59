"""eSpeak NG over ctypes: over forty languages, first audio in well under a millisecond, and the time of every word.

The library and its data come in the wheel of ``espeakng_loader``. The library keeps its state in globals, so one thread
speaks at a time; each stream waits its turn for every part of its text. The constants and layouts are those of the
library's public header, ``speak_lib.h``.
"""

from __future__ import annotations

import ctypes
import math
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from antiphon.audio import MOUTH_RATE_HZ, Resampler
from antiphon.core.speech import Word
from antiphon.engines.base import VoiceInfo
from antiphon.engines.classic import ClassicSynthesizer
from antiphon.engines.espeak_languages import LANGUAGES
from antiphon.engines.segments import Emit
from antiphon.engines.silence import SilenceTrimmer, pause_after_ms
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

_SYNCHRONOUS = 2
_BUFFER_MS = 60
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_END_OF_LIST, _WORD = 0, 1
_RATE_PARAMETER, _PITCH_PARAMETER = 1, 3
_WORDS_PER_MINUTE = 175
_WORDS_PER_MINUTE_RANGE = (80, 450)
_SOME_VARIANTS = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "croak", "whisper")
_PITCH = 50
_PITCHES = (0.7, 1.6)
"""As far as the library goes, measured on its English voice."""
_STEPS_UP, _STEPS_DOWN = 70, 87
"""Of its parameter for an octave, measured likewise."""


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class _Style:
    """A voice as the library is set to it."""

    voice: str
    pitch: int = _PITCH


class EspeakSynthesizer(ClassicSynthesizer[_Style]):
    """The Synthesizer over eSpeak NG."""

    def __init__(self, voice: str = "en-GB") -> None:
        """``voice`` is the default. Raises ConfigError when there is none of that name."""
        loudness_lufs = {language: its.lufs for language, its in LANGUAGES.items()}
        super().__init__("espeak", "eSpeak NG", voice, loudness_lufs, threads=1)

    @property
    def description(self) -> str:
        return f"eSpeak NG, {self._default}: robotic but very quick, bundled; for a more natural voice use a neural one"

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        self._style_of(pack)
        return VoiceInfo(pack.id, pack.languages[0], repeatable=True)

    def _style_in(self, language: str) -> _Style:
        return _Style(LANGUAGES[language].voice)

    def _style_of(self, pack: VoicePack) -> _Style:
        check_pack(pack, "eSpeak NG", takes=("speed", "pitch"), options={"variant": (str,)})
        voice = LANGUAGES[self._language_of(pack)].voice
        variant = pack.options.get("variant")
        low, high = _PITCHES
        if not low <= pack.pitch <= high:
            raise EngineError(f"pitch: eSpeak NG goes from {low} to {high}")
        steps = _STEPS_UP if pack.pitch > 1 else _STEPS_DOWN
        pitch = _PITCH + round(steps * math.log2(pack.pitch))
        return _Style(f"{voice}+{variant}" if variant else voice, pitch)

    def _try(self, style: _Style) -> None:
        """The library takes any variant, and leaves out one that it does not know."""
        library, variant = _library(), style.voice.partition("+")[2]
        if variant and variant not in library.variants:
            some = ", ".join(known for known in _SOME_VARIANTS if known in library.variants)
            raise EngineError(f"options.variant: eSpeak NG has no variant {variant!r}; it has {some} and others")
        super()._try(style)

    def _render(self, text: str, style: _Style, speed: float, emit: Emit) -> None:
        _library().speak(text, style, speed, emit)


class _Library:
    """The one loaded library of this process. All its methods may be called from any thread."""

    def __init__(self) -> None:
        """Raises EngineError."""
        self._lock = threading.Lock()
        try:
            import espeakng_loader
        except ImportError as error:
            raise EngineError("eSpeak NG is not installed: run `pip install espeakng-loader`") from error
        try:
            self._dll = ctypes.CDLL(espeakng_loader.get_library_path())
        except OSError as error:
            raise EngineError(f"eSpeak NG's library does not load on this machine ({error})") from error
        data = str(espeakng_loader.get_data_path())
        self.variants = {path.name for path in (Path(data) / "voices" / "!v").glob("*")}
        """What can be added to a voice: other speakers, whispers, ..."""
        self._rate_hz: int = self._dll.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data.encode(), 0)
        if self._rate_hz <= 0:
            raise EngineError("eSpeak NG's data is missing or broken: reinstall the package espeakng-loader")
        self._settings: tuple[_Style, int] | None = None

    def speak(self, text: str, style: _Style, speed: float, emit: Emit) -> None:
        """Speaks one part of a text. Raises EngineError."""
        low, high = _WORDS_PER_MINUTE_RANGE
        words_per_minute = min(max(round(_WORDS_PER_MINUTE * speed), low), high)
        encoded = text.replace("\0", " ").encode("utf-8", "replace")
        part = _Part(text, self._rate_hz, emit)
        callback = _Callback(part.on_audio)
        with self._lock:
            self._set(style, words_per_minute)
            self._dll.espeak_SetSynthCallback(callback)
            status = self._dll.espeak_Synth(
                encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
            )
        if part.error is not None:
            raise part.error
        if status != 0:
            raise EngineError(f"eSpeak NG could not speak this text (status {status})")
        part.finish()

    def _set(self, style: _Style, words_per_minute: int) -> None:
        if self._settings == (style, words_per_minute):
            return
        self._settings = None
        if self._dll.espeak_SetVoiceByName(style.voice.encode()) != 0:
            raise EngineError(f"eSpeak NG's data has no voice {style.voice}: reinstall the package espeakng-loader")
        self._dll.espeak_SetParameter(_RATE_PARAMETER, words_per_minute, 0)
        self._dll.espeak_SetParameter(_PITCH_PARAMETER, style.pitch, 0)
        self._settings = (style, words_per_minute)


@lru_cache(maxsize=1)
def _library() -> _Library:
    return _Library()


class _Part:
    """What the library says of one part: its audio on the way out, its words as they begin and end."""

    def __init__(self, text: str, rate_hz: int, emit: Emit) -> None:
        self.error: Exception | None = None
        self._text = text
        self._rate_hz = rate_hz
        self._emit = emit
        self._trimmer = SilenceTrimmer(rate_hz)
        self._resampler = Resampler(rate_hz, MOUTH_RATE_HZ)
        self._word: tuple[int, int, int] | None = None
        self._ended: list[tuple[int, int, int, int]] = []
        self._sound_samples = 0
        self._going = True

    def on_audio(self, samples: Any, count: int, events: Any) -> int:
        """The library's callback; 1 ends the synthesis."""
        try:
            self._read(events)
            if samples and count > 0:
                sound = self._trimmer.push(ctypes.string_at(samples, 2 * count))
                self._sound_samples += len(sound) // 2
                if sound:
                    self._going = self._emit(self._resampler.push(sound), self._words())
        except Exception as error:  # it cannot pass through C: speak() raises it
            self.error = error
            return 1
        return 0 if self._going else 1

    def finish(self) -> None:
        if not self._going:
            return
        self._end_word(self._trimmer.cut_samples + self._sound_samples)
        pause = self._trimmer.finish(pause_after_ms(self._text))
        if pause:
            self._emit(self._resampler.push(pause, last=True), self._words())

    def _read(self, events: Any) -> None:
        index = 0
        while events[index].type != _END_OF_LIST:
            event = events[index]
            if event.type == _WORD:
                self._begin_word(event.text_position - 1, event.length, event.sample)
            index += 1

    def _begin_word(self, start: int, length: int, sample: int) -> None:
        end = start + len(self._text[start : start + length].rstrip())
        if end <= start:
            return  # a symbol that is read as several words tells the later ones as blanks
        if self._word is not None and start < self._word[1]:
            # The parts of a number are told as words inside it: "3.5", then ".5".
            self._word = (self._word[0], max(self._word[1], end), self._word[2])
            return
        self._end_word(sample)
        self._word = (start, end, sample)

    def _end_word(self, sample: int) -> None:
        if self._word is not None:
            self._ended.append((*self._word, sample))
            self._word = None

    def _words(self) -> tuple[Word, ...]:
        """The words that ended since the last call, their samples counted at 48 kHz from the first sample that left."""
        ended, self._ended = self._ended, []
        return tuple(Word(start, end, self._moved(begin), self._moved(stop)) for start, end, begin, stop in ended)

    def _moved(self, sample: int) -> int:
        return max(0, sample - self._trimmer.cut_samples) * MOUTH_RATE_HZ // self._rate_hz
