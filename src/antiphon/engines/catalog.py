"""From names, ``engine:model[:voice]``, to engines. Nothing is imported before it is asked for, nothing loaded here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.engines.base import Brain, Recognizer, Synthesizer, Vad
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import ClientSession

VADS = ("silero", "scripted:KEY=VALUE,...")
RECOGNIZERS = (
    "moonshine:tiny-en",
    "faster-whisper:MODEL",
    "parakeet:MODEL",
    "openai:MODEL",
    "http://HOST:PORT/v1#MODEL",
    "scripted:KEY=VALUE,...",
)
BRAINS = ("auto", "alice", "openai:MODEL", "http://HOST:PORT/v1 (with --model NAME)", "scripted:KEY=VALUE,...")
SYNTHESIZERS = (
    "auto",
    "pico:VOICE",
    "espeak:VOICE",
    "piper:VOICE",
    "kokoro:VOICE",
    "mlx-audio:MODEL[:VOICE]",
    "pocket-tts[:MODEL[:VOICE]]",
    "csm[:MODEL]",
    "xtts[:MODEL[:SPEAKER]]",
    "openai:MODEL[:VOICE]",
    "http://HOST:PORT/v1#MODEL",
    "ws://HOST:PORT/v1#MODEL",
    "several, with commas between",
    "scripted:KEY=VALUE,...",
)

LOCAL_SERVERS: Mapping[str, int] = {"Ollama": 11434, "LM Studio": 1234, "llama.cpp": 8080, "vLLM": 8000}
"""Programs that serve chat completions on this machine, and the ports they have by default; the first wins."""

PROBE_S = 0.5
"""How long a local server may take to list its models."""

LISTING_S = 3.0
"""And how long one at a URL."""

_OPENAI_URL = "https://api.openai.com/v1"
_NOT_FOR_CHAT = ("embed", "rerank", "whisper", "tts")
"""Parts of the names of models that a server lists but that cannot chat."""


def make_vad(name: str) -> Vad:
    """Raises ConfigError for a name that there is not."""
    engine, _, options = name.partition(":")
    if engine == "scripted":
        from antiphon.engines.scripted import ScriptedVad

        return ScriptedVad.from_options(options)
    if name == "silero":
        from antiphon.engines.silero import Silero

        return Silero()
    raise _unknown("VAD", name, VADS)


def make_recognizer(name: str, device: str = "auto") -> Recognizer:
    """``device`` is where engines that can choose run. Raises ConfigError for a name that there is not."""
    engine, _, options = name.partition(":")
    if engine == "scripted":
        from antiphon.engines.scripted import ScriptedRecognizer

        return ScriptedRecognizer.from_options(options)
    if name in ("moonshine", "moonshine:tiny-en"):
        from antiphon.engines.moonshine import Moonshine

        return Moonshine()
    if engine == "faster-whisper" and options:
        from antiphon.engines.faster_whisper import FasterWhisper

        return FasterWhisper(options, device=device)
    if engine == "parakeet" and options:
        from antiphon.engines.parakeet_mlx import Parakeet

        return Parakeet(options)
    if engine in ("openai", "http", "https"):
        from antiphon.engines.openai_transcription import OpenAITranscription

        server = _speech_server(name)
        return OpenAITranscription(server.url, server.model, api_key=server.key, language=server.language)
    raise _unknown("recognizer", name, RECOGNIZERS)


def make_synthesizer(name: str) -> Synthesizer:
    """One with the voices of all engines in ``name`` ("pico:en-GB,espeak"); the first has the default voice.

    Raises ConfigError for an engine or a voice that there is not.
    """
    if name.partition(":")[0] == "scripted":
        return make_one_synthesizer(name)
    from antiphon.engines.voices import MultiSynthesizer

    return MultiSynthesizer([make_one_synthesizer(part) for part in synthesizer_names(name)])


def synthesizer_names(name: str) -> tuple[str, ...]:
    """The engines in ``name``, one by one; the commas in ``scripted:KEY=VALUE,...`` belong to it."""
    if name.partition(":")[0] == "scripted":
        return (name,)
    return ("pico", "espeak") if name == "auto" else tuple(part.strip() for part in name.split(","))


def make_one_synthesizer(name: str, device: str = "auto") -> Synthesizer:
    """The synthesizer of one engine, whose voices go by their own names. Raises ConfigError as above.

    ``device`` is where engines that can choose run: auto, cpu, mps, cuda or cuda:NUMBER.
    """
    engine, _, voice = name.partition(":")
    if engine == "scripted":
        from antiphon.engines.scripted import ScriptedSynthesizer

        return ScriptedSynthesizer.from_options(voice)
    if engine == "pico":
        from antiphon.engines.pico import PicoSynthesizer

        return PicoSynthesizer(voice) if voice else PicoSynthesizer()
    if engine == "espeak":
        from antiphon.engines.espeak import EspeakSynthesizer

        return EspeakSynthesizer(voice) if voice else EspeakSynthesizer()
    if engine == "piper" and not voice:
        from antiphon.engines.piper_packs import PiperPacks

        return PiperPacks()
    if engine == "piper":
        from antiphon.engines.piper import PiperSynthesizer

        return PiperSynthesizer(voice)
    if engine == "kokoro":
        from antiphon.engines.kokoro import KokoroSynthesizer

        return KokoroSynthesizer(voice)
    if engine == "mlx-audio" and voice:
        from antiphon.engines.mlx_audio import MlxAudioSynthesizer

        return MlxAudioSynthesizer(*voice.split(":", 1))
    if engine == "pocket-tts":
        from antiphon.engines.pocket_tts import PocketTtsSynthesizer

        return PocketTtsSynthesizer(voice, device=device)
    if engine == "csm":
        from antiphon.engines.csm import DEFAULT_MODEL, CsmSynthesizer

        return CsmSynthesizer(voice or DEFAULT_MODEL, device=device)
    if engine == "xtts":
        from antiphon.engines.xtts import XttsSynthesizer

        return XttsSynthesizer(voice, device=device)
    if engine in ("openai", "http", "https"):
        from antiphon.engines.openai_speech import OpenAISpeech

        server = _speech_server(name)
        return OpenAISpeech(
            server.url,
            server.model,
            server.voices,
            api_key=server.key,
            language=server.language,
            rate_hz=server.rate_hz,
        )
    if engine in ("ws", "wss"):
        from antiphon.engines.speech_socket import SpeechSocket

        server = _speech_server(name)
        return SpeechSocket(
            server.url,
            server.model,
            server.voices,
            api_key=server.key,
            language=server.language,
            rate_hz=server.rate_hz,
            word_times=server.word_times,
        )
    raise _unknown("synthesizer", name, SYNTHESIZERS)


async def make_brain(
    name: str, model: str | None = None, *, api_key: str | None = None, exclude_ports: Collection[int] = ()
) -> Brain:
    """The brain called ``name``; "auto" looks for a local server, but on none of ``exclude_ports``.

    ``model`` is the one to ask a server for. Without ``api_key`` it is the environment's OPENAI_API_KEY. Raises
    ConfigError.
    """
    engine, _, rest = name.partition(":")
    if engine == "scripted":
        from antiphon.engines.scripted import ScriptedBrain

        return ScriptedBrain.from_options(rest)
    if name == "auto":
        return await find_local_llm(exclude_ports, model)
    if name == "alice":
        from antiphon.engines.alice import AliceBrain

        return AliceBrain()
    from antiphon.engines.openai_chat import OpenAIChat

    key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
    if engine in ("http", "https"):
        return OpenAIChat(_completed(name), model, api_key=key)
    if engine == "openai":
        model = model or rest
        if not model:
            raise ConfigError("openai needs a model: --llm openai:MODEL")
        url = os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL
        if url == _OPENAI_URL and key == "none":
            raise ConfigError(f"--llm {name} needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server")
        return OpenAIChat(url, model, api_key=key)
    raise _unknown("language model", name, BRAINS)


async def find_local_llm(exclude_ports: Collection[int] = (), model: str | None = None) -> Brain:
    """The brain over the first local server that answers and has ``model`` (any, if None); else A.L.I.C.E.

    Raises ConfigError when ``model`` is named and no server has it.
    """
    import aiohttp

    ports = {program: port for program, port in LOCAL_SERVERS.items() if port not in exclude_ports}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PROBE_S)) as client:
        found = await asyncio.gather(*(_probe(client, program, port) for program, port in ports.items()))
    for server in found:
        chosen = server.choose(model) if server is not None else None
        if server is not None and chosen is not None:
            from antiphon.engines.openai_chat import OpenAIChat

            return OpenAIChat(server.url, chosen, server_name=server.program)
    if model is not None:
        raise ConfigError(f"no local server has the model {model!r}: give its server's URL with --llm URL")
    from antiphon.engines.alice import AliceBrain

    return AliceBrain()


async def first_model(url: str) -> str | None:
    """The model that a brain over the server at ``url`` asks for where none is named; None if it does not say."""
    import aiohttp

    key = os.environ.get("OPENAI_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(LISTING_S), headers=headers) as client:
        models = _listed(await _json(client, f"{_completed(url).rstrip('/')}/models"))
    return models[0] if models else None


@dataclass(frozen=True, slots=True)
class _LocalServer:
    program: str
    url: str
    models: tuple[str, ...]

    def choose(self, model: str | None) -> str | None:
        if model is not None:
            return model if model in self.models or f"{model}:latest" in self.models else None
        return next((name for name in self.models if not any(part in name.lower() for part in _NOT_FOR_CHAT)), None)


async def _probe(client: ClientSession, program: str, port: int) -> _LocalServer | None:
    """The server on ``port``, if it lists models as a chat completions server does and is none of ours."""
    origin = f"http://127.0.0.1:{port}"
    models = _listed(await _json(client, f"{origin}/v1/models"))
    if not models:
        return None
    health = await _json(client, f"{origin}/health")
    if isinstance(health, dict) and health.get("service") == "antiphon":
        return None
    return _LocalServer(program, f"{origin}/v1", models)


def _listed(answer: Any) -> tuple[str, ...]:
    """The models in a chat completions server's list."""
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str))


async def _json(client: ClientSession, url: str) -> Any:
    """What the address answers; None when it is no JSON, no success, or nobody listens."""
    import aiohttp

    try:
        async with client.get(url, allow_redirects=False) as response:
            return await response.json(content_type=None) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def _completed(url: str) -> str:
    """A server's address with the path that chat completions servers have, if it has none."""
    return url.rstrip("/") + "/v1" if urlsplit(url).path in ("", "/") else url


@dataclass(frozen=True, slots=True)
class _SpeechServer:
    url: str
    key: str
    model: str
    voices: tuple[str, ...]
    language: str
    rate_hz: int
    word_times: bool = False


def _speech_server(name: str) -> _SpeechServer:
    """What a name says of a server for speech: ``openai:MODEL[:VOICE]``, ``URL[#MODEL]`` or ``URL#KEY=VALUE&...``.

    Its keys are model, voice (several times if there are several), language, rate and, over a WebSocket, words=true for
    word times. Raises ConfigError.
    """
    key = os.environ.get("OPENAI_API_KEY", "")
    if name.startswith("openai:"):
        _, model, *voices = name.split(":")
        url = os.environ.get("OPENAI_BASE_URL") or _OPENAI_URL
        if not model:
            raise ConfigError("openai needs a model, as in openai:gpt-4o-mini-tts")
        if url == _OPENAI_URL and not key:
            raise ConfigError(f"{name} needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server")
        return _SpeechServer(url, key, model, tuple(voices), "", WIRE_PCM_RATE_HZ)
    url, _, fragment = name.partition("#")
    said = parse_qs(fragment) if "=" in fragment else {"model": [fragment]}
    if unknown := said.keys() - {"model", "voice", "language", "rate", "words"}:
        raise ConfigError(f"{name}: after the # there may be model, voice, language, rate, words, not {min(unknown)}")
    rate = said.get("rate", [str(WIRE_PCM_RATE_HZ)])[0]
    if not rate.isdecimal() or not 8_000 <= int(rate) <= 96_000:
        raise ConfigError(f"{name}: the rate is in Hz, from 8000 to 96000")
    model, language = (said.get(word, [""])[0] for word in ("model", "language"))
    words = said.get("words") == ["true"]
    return _SpeechServer(_completed(url), key, model, tuple(said.get("voice", ())), language, int(rate), words)


def _unknown(stage: str, name: str, known: tuple[str, ...]) -> ConfigError:
    return ConfigError(f"there is no {stage} called {name!r}; there is: {'; '.join(known)}")
