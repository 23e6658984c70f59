"""What voices are called: in full, "pico:en-US", and for short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.engines.base import VoiceInfo

_OPENAI_NAMES = "marin cedar alloy ash ballad coral echo sage shimmer verse fable onyx nova"
"""What clients of OpenAI ask for without looking at what there is."""


@dataclass(frozen=True, slots=True)
class NamedVoice:
    """A voice, the engine that has it, and its name there."""

    engine: str
    voice: VoiceInfo

    @property
    def full(self) -> str:
        return f"{self.engine}:{self.voice.name}"


class VoiceNames:
    """The names of some voices; where two would have the same, the first has it. The very first is the default."""

    def __init__(self, voices: Sequence[NamedVoice]) -> None:
        """``voices`` has at least one."""
        self._default = voices[0]
        self._aliases: dict[str, str] = {}
        for named in voices:
            self._aliases.setdefault(named.full.lower(), named.full)
        for named in voices:
            language = named.voice.language.lower()
            for alias in (named.voice.name.lower(), language, language.partition("-")[0], named.engine):
                self._aliases.setdefault(alias, named.full)
        alike = self._like_the_default(voices)
        for number, alias in enumerate(_OPENAI_NAMES.split()):
            self._aliases.setdefault(alias, alike[number % len(alike)])

    def find(self, name: str) -> str | None:
        """The full name of the voice that is meant: "en-GB", "de", "espeak" and "marin" all mean one."""
        return self._aliases.get(name.lower())

    def resolve(self, name: str) -> str:
        """The same, and the default voice for a name that means nothing here."""
        return self.find(name) or self._default.full

    def _like_the_default(self, voices: Sequence[NamedVoice]) -> list[str]:
        """The voices of the default one's engine and language."""
        language = self._default.voice.language.partition("-")[0]
        return [
            named.full
            for named in voices
            if named.engine == self._default.engine and named.voice.language.partition("-")[0] == language
        ]
