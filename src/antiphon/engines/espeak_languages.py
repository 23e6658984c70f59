"""The languages that eSpeak NG speaks here."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    voice: str
    """What eSpeak calls it."""
    lufs: float
    """How loud it is by itself. Written by scripts/voice_loudness.py."""


LANGUAGES = {
    "en-GB": Language("en", -21.7),
    "en-US": Language("en-us", -22.3),
    "en-scotland": Language("en-gb-scotland", -21.6),
    "de-DE": Language("de", -22.4),
    "es-ES": Language("es", -22.5),
    "es-419": Language("es-419", -22.0),
    "fr-FR": Language("fr", -22.9),
    "it-IT": Language("it", -23.3),
    "pt-PT": Language("pt", -21.7),
    "pt-BR": Language("pt-br", -21.5),
    "nl-NL": Language("nl", -22.6),
    "pl-PL": Language("pl", -22.7),
    "sv-SE": Language("sv", -22.9),
    "da-DK": Language("da", -22.2),
    "nb-NO": Language("nb", -23.1),
    "fi-FI": Language("fi", -21.9),
    "cs-CZ": Language("cs", -23.4),
    "sk-SK": Language("sk", -23.3),
    "hu-HU": Language("hu", -21.7),
    "ro-RO": Language("ro", -22.5),
    "bg-BG": Language("bg", -23.9),
    "el-GR": Language("el", -22.2),
    "ru-RU": Language("ru", -23.9),
    "uk-UA": Language("uk", -19.8),
    "tr-TR": Language("tr", -20.8),
    "ar": Language("ar", -21.5),
    "he-IL": Language("he", -26.4),
    "fa-IR": Language("fa", -21.2),
    "hi-IN": Language("hi", -20.6),
    "id-ID": Language("id", -21.8),
    "vi-VN": Language("vi", -20.0),
    "cmn-CN": Language("cmn", -19.4),
    "ko-KR": Language("ko", -20.6),
}
"""The languages on offer."""
