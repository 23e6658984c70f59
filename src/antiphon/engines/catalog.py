"""From names, ``engine:model[:voice]``, to engines. Nothing is imported before it is asked for, nothing loaded here."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from antiphon.engines import families
from antiphon.engines.base import Brain, Engine, Recognizer, Synthesizer, Vad
from antiphon.engines.families import Asked
from antiphon.engines.local_llm import find_local_llm
from antiphon.engines.own_models import OWN_MODELS, make_own_model
from antiphon.engines.server_names import OPENAI_URL, completed, openai_url
from antiphon.errors import ConfigError

VADS = ("silero", "scripted:KEY=VALUE,...")
RECOGNIZERS = (
    "moonshine:tiny-en",
    "brain (a language model that hears)",
    "faster-whisper:MODEL",
    "parakeet:MODEL",
    "openai:MODEL",
    "http://HOST:PORT/v1#MODEL",
    "scripted:KEY=VALUE,...",
)
BRAINS = (
    "auto",
    "alice",
    "transformers:MODEL[#OPTIONS]",
    "mlx-lm:MODEL[#OPTIONS]",
    "gguf:MODEL[#OPTIONS]",
    "voxtral:MODEL",
    "openai:MODEL",
    "openai-audio:MODEL",
    "http://HOST:PORT/v1[#MODEL]",
    "audio+http://HOST:PORT/v1[#MODEL]",
    "scripted:KEY=VALUE,...",
)
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
    "cosyvoice:FOLDER",
    "openai:MODEL[:VOICE]",
    "http://HOST:PORT/v1#MODEL",
    "ws://HOST:PORT/v1#MODEL",
    "several, with commas between",
    "scripted:KEY=VALUE,...",
)

AUDIO = "audio+"
"""Before a URL: the model there takes audio."""
_HEARING_URLS = (f"{AUDIO}http", f"{AUDIO}https")

E = TypeVar("E", bound=Engine)


def make_vad(name: str) -> Vad:
    """Raises ConfigError for a name that there is not."""
    return _made(families.VADS, "VAD", VADS, name)


def make_recognizer(name: str, device: str = "auto") -> Recognizer:
    """``device`` is where engines that can choose run. Raises ConfigError for a name that there is not."""
    return _made(families.RECOGNIZERS, "recognizer", RECOGNIZERS, name, device)


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
    return _made(families.SYNTHESIZERS, "synthesizer", SYNTHESIZERS, name, device)


async def make_brain(
    name: str,
    model: str | None = None,
    *,
    api_key: str | None = None,
    exclude_ports: Collection[int] = (),
    device: str = "auto",
) -> Brain:
    """The brain called ``name``; "auto" looks for a local server, but on none of ``exclude_ports``.

    ``model`` is the one to ask a server for, which may stand in the name too: ``URL#MODEL``. Without ``api_key`` it is
    the environment's OPENAI_API_KEY. ``device`` is where engines that can choose run. Raises ConfigError.
    """
    name, _, named = name.partition("#")
    model = model or named or None
    engine, _, rest = name.partition(":")
    if engine in OWN_MODELS:
        return make_own_model(engine, rest, model or "", device)
    if engine == "scripted":
        from antiphon.engines.scripted import ScriptedBrain

        return ScriptedBrain.from_options(rest)
    if name == "auto":
        return await find_local_llm(exclude_ports, model)
    if name == "alice":
        from antiphon.engines.alice import AliceBrain

        return AliceBrain()
    if engine == "voxtral":
        from antiphon.engines.voxtral import VoxtralBrain

        return VoxtralBrain(model or rest, device=device)
    from antiphon.engines.openai_chat import OpenAIChat

    key = api_key or os.environ.get("OPENAI_API_KEY") or "none"
    if engine in ("http", "https", *_HEARING_URLS):
        return OpenAIChat(completed(name.removeprefix(AUDIO)), model, api_key=key, hears=name.startswith(AUDIO))
    if engine in ("openai", "openai-audio"):
        model = model or rest
        if not model:
            raise ConfigError(f"{engine} needs a model: --llm {engine}:MODEL")
        url = openai_url()
        if url == OPENAI_URL and key == "none":
            raise ConfigError(f"--llm {name} needs a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for another server")
        return OpenAIChat(url, model, api_key=key, hears=engine == "openai-audio")
    raise _unknown("language model", name, BRAINS)


def _made(
    makers: Mapping[str, Callable[[Asked], E | None]],
    stage: str,
    known: tuple[str, ...],
    name: str,
    device: str = "auto",
) -> E:
    """Raises ConfigError where there is no such family, or it has nothing of that name."""
    family, _, rest = name.partition(":")
    make = makers.get(family)
    made = make(Asked(name, rest, device)) if make is not None else None
    if made is None:
        raise _unknown(stage, name, known)
    return made


def _unknown(stage: str, name: str, known: tuple[str, ...]) -> ConfigError:
    return ConfigError(f"there is no {stage} called {name!r}; there is: {'; '.join(known)}")
