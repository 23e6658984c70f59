"""What names say of servers: ``openai:MODEL[:VOICE]`` and URLs, with what a server is asked for behind a ``#``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.errors import ConfigError

OPENAI_URL = "https://api.openai.com/v1"

_KEYS = ("model", "voice", "language", "rate", "words")
_RATES_HZ = (8_000, 96_000)


@dataclass(frozen=True, slots=True)
class NamedServer:
    """A server for speech, and what is asked of it. What the name leaves open is empty."""

    url: str
    key: str
    model: str
    voices: tuple[str, ...]
    language: str
    rate_hz: int
    word_times: bool = False


def named_server(name: str) -> NamedServer:
    """What a name says of a server for speech: ``openai:MODEL[:VOICE]``, ``URL[#MODEL]`` or ``URL#KEY=VALUE&...``.

    Its keys are model, voice (several times if there are several), language, rate and, over a WebSocket, words=true for
    word times. Raises ConfigError.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    if name.startswith("openai:"):
        _, model, *voices = name.split(":")
        url = openai_url()
        if not model:
            raise ConfigError("openai needs a model, as in openai:gpt-4o-mini-tts")
        if url == OPENAI_URL and not key:
            raise ConfigError(f"{name} needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server")
        return NamedServer(url, key, model, tuple(voices), "", WIRE_PCM_RATE_HZ)
    url, _, fragment = name.partition("#")
    said = parse_qs(fragment) if "=" in fragment else {"model": [fragment]}
    if unknown := said.keys() - set(_KEYS):
        raise ConfigError(f"{name}: after the # there may be {', '.join(_KEYS)}, not {min(unknown)}")
    rate = said.get("rate", [str(WIRE_PCM_RATE_HZ)])[0]
    low, high = _RATES_HZ
    if not rate.isdecimal() or not low <= int(rate) <= high:
        raise ConfigError(f"{name}: the rate is in Hz, from {low} to {high}")
    model, language = (said.get(word, [""])[0] for word in ("model", "language"))
    words = said.get("words") == ["true"]
    return NamedServer(completed(url), key, model, tuple(said.get("voice", ())), language, int(rate), words)


def openai_url() -> str:
    """OpenAI's own, or what the environment says is there in its place."""
    return os.environ.get("OPENAI_BASE_URL") or OPENAI_URL


def completed(url: str) -> str:
    """A server's address with the path that chat completions servers have, if it has none."""
    return url.rstrip("/") + "/v1" if urlsplit(url).path in ("", "/") else url
