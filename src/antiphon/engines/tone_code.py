"""Text as tones: the language that the scripted engines speak and understand.

Each character is a symbol of 40 ms: a chord of one low and one high tone (as on a telephone's keypad), followed by
4 ms of silence. All tones are multiples of 50 Hz between 300 and 3400 Hz, so that a window of 20 ms tells them apart
exactly, and the code survives resampling, mu-law at 8 kHz and any cutting into frames. The silences mark the symbols,
so that a listener may come in at any point: at worst it loses the symbol that it came in on. At 25 characters a second
this is the pace of fast speech.

Sounds that are no symbols (longer without a gap than a symbol can be) carry no words: so does a cough.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from antiphon.audio import EAR_RATE_HZ, Samples, resample, samples_of

SYMBOL_MS = 40
GAP_MS = 4

_LOW_HZ = tuple(range(600, 1400, 100))
_HIGH_HZ = tuple(range(1600, 3200, 200))
_UPPER = "^"
"""The symbol that makes a capital of the next."""
_UNKNOWN = "*"
"""Stands for a character that the code does not have."""
_ALPHABET = " abcdefghijklmnopqrstuvwxyz0123456789.,?!'\"-:;{}[]()_/=+%$&@#" + _UPPER + _UNKNOWN

_BLOCK_SAMPLES = EAR_RATE_HZ // 1000
"""The decoder looks at 1 ms at a time."""
_BLOCK_BYTES = _BLOCK_SAMPLES * 2
_QUIET_RMS = 150.0
"""Below this a block is silence."""
_SHORTEST_MS, _LONGEST_MS = 22, 60
"""How long a sound without a gap is a symbol: speech may be slower or faster than 40 ms."""
_WINDOW_SAMPLES = EAR_RATE_HZ * 20 // 1000
_LOW_BINS = [hz // 50 for hz in _LOW_HZ]
_HIGH_BINS = [hz // 50 for hz in _HIGH_HZ]
_WORD_GAP_MS = 30
"""Silence for so long ends a word."""


@lru_cache(maxsize=512)
def _symbol(index: int, rate_hz: int, symbol_ms: int, amplitude: int) -> bytes:
    low, high = _LOW_HZ[index // 8], _HIGH_HZ[index % 8]
    seconds = np.arange(rate_hz * (symbol_ms - GAP_MS) // 1000) / rate_hz
    chord = np.sin(2 * np.pi * low * seconds) + np.sin(2 * np.pi * high * seconds)
    edge = min(len(chord) // 2, rate_hz * 2 // 1000)
    chord[:edge] *= np.linspace(0.2, 1, edge)
    chord[-edge:] *= np.linspace(1, 0.2, edge)
    tone = (chord * (amplitude / 2)).astype("<i2").tobytes()
    return tone + bytes(rate_hz * GAP_MS // 1000 * 2)


def symbols_of(text: str) -> list[int]:
    """The symbols of a text, in order; capitals take two."""
    found: list[int] = []
    for character in text:
        if character.isascii() and character.isupper():
            found.append(_ALPHABET.index(_UPPER))
        index = _ALPHABET.find(character.lower()) if character.isascii() else -1
        if character.isspace():
            index = 0
        found.append(index if index >= 0 else _ALPHABET.index(_UNKNOWN))
    return found


def encode(text: str, rate_hz: int, *, symbol_ms: int = SYMBOL_MS, amplitude: int = 8000) -> bytes:
    """The sound of ``text``, mono s16, exactly ``symbol_ms`` for each of ``symbols_of(text)``."""
    return b"".join([_symbol(index, rate_hz, symbol_ms, amplitude) for index in symbols_of(text)])


def _chord(sound: Samples) -> str:
    """The symbol whose chord sounds in ``sound``, a window of 20 ms."""
    spectrum = np.abs(np.fft.rfft(sound))
    low, high = int(np.argmax(spectrum[_LOW_BINS])), int(np.argmax(spectrum[_HIGH_BINS]))
    index = low * len(_HIGH_HZ) + high
    return _ALPHABET[index] if index < len(_ALPHABET) else _UNKNOWN


class Decoder:
    """Understands a stream of mono s16 at 16 kHz. One instance belongs to one stream."""

    __slots__ = ("_capital", "_quiet_blocks", "_said", "_waiting")

    def __init__(self) -> None:
        self._said: list[str] = []
        self._capital = False
        self._waiting = b""
        """Audio that is not decided: less than a block, or a sound that goes on."""
        self._quiet_blocks = 0

    @property
    def text(self) -> str:
        """What was said so far, with one space between words."""
        return " ".join("".join(self._said).split())

    @property
    def whole_words(self) -> str:
        """The same without a last word that may still go on."""
        said = "".join(self._said)
        return " ".join((said if said.endswith(" ") else said.rpartition(" ")[0]).split())

    def push(self, pcm: bytes) -> None:
        """Takes the next audio, of any even length. Cheapest in pieces of 100 ms or more."""
        pcm = self._waiting + pcm
        count = len(pcm) // _BLOCK_BYTES
        sound = samples_of(pcm[: count * _BLOCK_BYTES])
        blocks = sound.reshape(count, _BLOCK_SAMPLES).astype(np.float32)
        loud = np.einsum("ij,ij->i", blocks, blocks) > _QUIET_RMS**2 * _BLOCK_SAMPLES
        edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).tolist()
        decided = 0
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end == count:
                break
            self._silence(start - decided)
            self._sound(sound, start, end)
            decided = end
        else:
            self._silence(count - decided)
            decided = count
        # A sound that is too long already stays too long when only its end is kept.
        self._waiting = pcm[max(decided, count - _LONGEST_MS - 1) * _BLOCK_BYTES :]

    def _silence(self, blocks: int) -> None:
        self._quiet_blocks += blocks
        if self._quiet_blocks >= _WORD_GAP_MS and self._said and self._said[-1] != " ":
            self._said.append(" ")

    def _sound(self, sound: Samples, start: int, end: int) -> None:
        self._quiet_blocks = 0
        if not _SHORTEST_MS <= end - start <= _LONGEST_MS:
            return
        at = (start + end) * _BLOCK_SAMPLES // 2 - _WINDOW_SAMPLES // 2
        symbol = _chord(sound[at : at + _WINDOW_SAMPLES])
        if symbol == _UPPER:
            self._capital = True
        else:
            self._said.append(symbol.upper() if self._capital else symbol)
            self._capital = False


def decode(pcm: bytes, rate_hz: int = EAR_RATE_HZ) -> str:
    """What a recording says, at any rate."""
    decoder = Decoder()
    decoder.push(resample(pcm, rate_hz, EAR_RATE_HZ) + bytes(_BLOCK_BYTES))
    return decoder.text
