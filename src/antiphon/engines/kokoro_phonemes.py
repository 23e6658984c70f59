"""The phonemes that Kokoro speaks, from eSpeak NG through ``phonemizer`` (GPL-3.0), and the languages of its voices."""

from __future__ import annotations

import logging
import re
import threading
from functools import cache
from typing import Any

LANGUAGE_OF_LETTER = {
    "a": "en-US",
    "b": "en-GB",
    "e": "es-ES",
    "f": "fr-FR",
    "h": "hi-IN",
    "i": "it-IT",
    "p": "pt-BR",
}
"""By a voice's first letter. Japanese (j) and Chinese (z) are left out: eSpeak NG's phonemes are not theirs."""
ESPEAK_OF_LANGUAGE = {
    "en-US": "en-us",
    "en-GB": "en-gb",
    "es-ES": "es",
    "fr-FR": "fr-fr",
    "hi-IN": "hi",
    "it-IT": "it",
    "pt-BR": "pt-br",
}

_PUNCTUATION = re.compile(r'(\s*(?:[;!?¡¿—…"«»“”()]|[.,:](?!\d))+\s*)')
"""What stands between the phonemes as it is. (phonemizer's own way of keeping it takes "3.5." apart.)"""

_phonemizing = threading.Lock()
"""eSpeak NG keeps its state in globals."""


def espeak_language(voice: str) -> str:
    """eSpeak NG's name for the language of ``voice``, which has one of the letters above."""
    return ESPEAK_OF_LANGUAGE[LANGUAGE_OF_LETTER[voice[0]]]


def speakable(text: str) -> str:
    """``text`` without what eSpeak NG cannot be given, which takes C's strings in UTF-8."""
    return text.replace("\0", " ").encode("utf-8", "ignore").decode()


def phonemes_of(text: str, language: str) -> str:
    """The phonemes of ``text``, which is speakable, in one of eSpeak NG's languages; punctuation stays among them."""
    pieces = _PUNCTUATION.split(" ".join(text.split()))
    words = [place for place in range(0, len(pieces), 2) if pieces[place]]
    with _phonemizing:
        phonemes = _backend(language).phonemize([pieces[place] for place in words], strip=True)
    for place, sounds in zip(words, phonemes, strict=True):
        pieces[place] = sounds
    return "".join(pieces).strip()


@cache
def _backend(language: str) -> Any:
    """eSpeak NG with stress, as Kokoro was trained on it. The library is the one that we bring."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    quiet = logging.getLogger("antiphon.kokoro.phonemizer")
    quiet.setLevel(logging.ERROR)
    return EspeakBackend(language, with_stress=True, language_switch="remove-flags", logger=quiet)
