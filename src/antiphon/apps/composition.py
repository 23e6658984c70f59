"""From a configuration to what conversations are made of: the engines, and what clients may choose from."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from antiphon.apps.config import Config
from antiphon.apps.config_session import SessionDefaults
from antiphon.apps.language_models import brains_of
from antiphon.apps.local_models import LocalModels
from antiphon.core.settings import ReplySettings
from antiphon.engines import catalog
from antiphon.engines.base import Engine
from antiphon.engines.brain_transcripts import NAME as BY_BRAIN
from antiphon.engines.brain_transcripts import BrainRecognizer, check_hears
from antiphon.engines.brains import MultiBrain
from antiphon.engines.optional import Leaving, brain_of_session, models_of
from antiphon.engines.pack_folder import packs_folder
from antiphon.engines.suite import Suite
from antiphon.engines.voicing import Voicing
from antiphon.errors import ConfigError
from antiphon.transport.model_admin import ModelAdmin
from antiphon.transport.realtime.offer import Offer

if TYPE_CHECKING:
    from antiphon.apps.local_fleet import FleetWatcher


@dataclass(frozen=True, slots=True)
class Shared:
    """By what other processes of this machine are served by the same workers."""

    folder: Path
    """Where the sockets of those workers are that are the server's own. Only its user may enter it."""
    brain: str
    """What the language model's workers host, as ``llm`` of a configuration, where they are the server's own."""


class Engines(Protocol):
    """What sessions are served by, wherever it runs."""

    @property
    def suite(self) -> Suite: ...

    @property
    def models(self) -> ModelAdmin:
        """Who keeps the models."""
        ...

    def tell_of_models_by(self, tell: Callable[[], Awaitable[None]]) -> None:
        """``tell`` is called when ``models`` has changed what is in memory, and is waited for."""
        ...

    async def ask(self) -> None:
        """Has the workers say what they have now, as another server has changed it."""
        ...

    def move_voices_by(self, move: Callable[[Callable[[str], str | None]], None]) -> None:
        """``move`` is called when voices go: it asks what each conversation's voice changes to, None where it stays."""
        ...

    @property
    def appointments(self) -> Mapping[str, str]:
        """The models of voices that were appointed in place of others."""
        ...

    def appoint(self, appointments: Mapping[str, str]) -> None:
        """As another server, whose workers serve us too, has."""
        ...

    async def load(self, engine: Engine) -> None:
        """Makes one of the suite's engines ready. Raises ConfigError and EngineError."""
        ...

    def of_session(self, session_id: str) -> Suite:
        """The engines for one conversation."""
        ...

    def attending(self, suite: Suite, settings: ReplySettings) -> AbstractContextManager[None]:
        """Within the block the conversation that has this suite of ``of_session`` is known to what serves it."""
        ...

    @property
    def shared(self) -> Shared | None:
        """None where the engines are in this process alone."""
        ...

    def missing(self) -> list[str]:
        """The stages that nothing serves now."""
        ...

    def serving(self, stage: str) -> int:
        """How many workers serve a stage; 0 where none is needed."""
        ...

    def workers(self) -> list[dict[str, Any]]:
        """The processes in which engines run, in plain types; none where they run in this one."""
        ...

    @property
    def changes(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Each waits until something of the workers is different."""
        ...


class InProcess:
    """Engines in threads of this process."""

    def __init__(self, suite: Suite, voicing: Voicing | None = None) -> None:
        self._suite = suite
        self._voicing = voicing

    @property
    def suite(self) -> Suite:
        return self._suite

    @property
    def models(self) -> ModelAdmin:
        return LocalModels(self._suite, self._voicing)

    def tell_of_models_by(self, tell: Callable[[], Awaitable[None]]) -> None:
        """No other process has its engines."""

    async def ask(self) -> None:
        """It knows."""

    def move_voices_by(self, move: Callable[[Callable[[str], str | None]], None]) -> None:
        """Its voices stay."""

    @property
    def appointments(self) -> Mapping[str, str]:
        return {}

    def appoint(self, appointments: Mapping[str, str]) -> None:
        """Its voices stay."""

    async def load(self, engine: Engine) -> None:
        await engine.load()

    def of_session(self, session_id: str) -> Suite:
        return replace(self._suite, brain=brain_of_session(self._suite.brain, session_id))

    @contextmanager
    def attending(self, suite: Suite, settings: ReplySettings) -> Iterator[None]:
        try:
            yield
        finally:
            if isinstance(suite.brain, Leaving):
                suite.brain.leave()

    @property
    def shared(self) -> None:
        return None

    def missing(self) -> list[str]:
        return []

    def serving(self, stage: str) -> int:
        return 0

    def workers(self) -> list[dict[str, Any]]:
        return []

    @property
    def changes(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        return ()


@asynccontextmanager
async def engines_of(
    config: Config,
    own_port: int | None = None,
    watcher: FleetWatcher | None = None,
    shared: Path | None = None,
) -> AsyncIterator[Engines]:
    """The engines that the configuration names, where it wants them; not loaded yet. Raises ConfigError.

    ``own_port`` is where we listen ourselves: that is no language model. ``shared`` is the folder of another server's
    workers, which serve us too.
    """
    if config.in_process or sys.platform == "win32":  # which has no Unix sockets
        suite = await choose_engines(config, own_port)
        try:
            yield InProcess(suite, voicing_of(config))
        finally:
            await suite.close()
        return
    from antiphon.apps.local_fleet import fleet_engines

    async with fleet_engines(config, own_port, watcher, shared) as engines:
        yield engines


async def choose_engines(config: Config, own_port: int | None = None) -> Suite:
    """The engines that the configuration names, for this process. Raises ConfigError."""
    vad = catalog.make_vad(config.vad)
    brains = await brains_of(config, own_port)
    brain = MultiBrain(brains) if len(brains) > 1 else next(iter(brains.values()))
    if config.asr == BY_BRAIN:
        check_hears(brain)
    return Suite(
        vad=vad,
        recognizer=BrainRecognizer(brain) if config.asr == BY_BRAIN else catalog.make_recognizer(config.asr),
        brain=brain,
        synthesizer=voicing_of(config).all(config.tts),
    )


def voicing_of(config: Config) -> Voicing:
    """What the configuration wants done with voices."""
    return Voicing(config.voicepacks or packs_folder(), None if config.loudness == "off" else config.loudness)


@runtime_checkable
class _Namer(Protocol):
    """A synthesizer whose voices have other names too."""

    def find(self, name: str) -> str | None: ...


@runtime_checkable
class _Moving(Protocol):
    """A synthesizer whose voices may go."""

    def successor(self, voice: str) -> str | None: ...


def make_offer(config: Config, suite: Suite) -> Offer:
    """What clients may choose from. Raises ConfigError when the voice that the configuration wants is not there.

    That voice is first, and serves clients that ask for one that is not there. Without it, names that mean a voice
    here ("marin", "de") do.
    """
    if config.speak_tool and suite.brain.name.partition(":")[0] == "alice":
        raise ConfigError("--speak-tool needs a language model that can be told how to speak: name one with --llm")
    synthesizer = suite.synthesizer
    voices = tuple(voice.name for voice in synthesizer.voices)
    engines = dict.fromkeys(voice.partition(":")[0] for voice in voices if ":" in voice)
    find = synthesizer.find if isinstance(synthesizer, _Namer) else _no_other_names
    offer = Offer(
        models=models_of(suite.brain),
        voices=voices,
        transcription_models=(suite.recognizer.name,),
        other_models=(suite.recognizer.name, *(engines or [synthesizer.name])),
        instructions=config.session.instructions,
        turn=config.turn_settings(),
        max_output_tokens=config.session.max_output_tokens,
        speech=config.session.speech_settings(),
        listening=config.listening_settings(),
        voice_called=find,
    )
    wanted = config.session.voice
    if wanted is None:
        return offer
    first = wanted if wanted in voices else find(wanted)
    if first is None:
        raise ConfigError(f"session.voice: there is no voice {wanted!r}; there are {', '.join(voices)}")
    if isinstance(synthesizer, _Moving):
        first = synthesizer.successor(first) or first
    return replace(offer, voices=(first, *(voice for voice in voices if voice != first)), voice_called=_no_other_names)


def _no_other_names(name: str) -> str | None:
    return None


def offers_of(config: Config, suite: Suite) -> Callable[[], Offer]:
    """Gives the offer, anew whenever other engines or voices are there than before. Raises ConfigError as above."""
    offer, seen = make_offer(config, suite), _seen(suite)

    def current() -> Offer:
        nonlocal offer, seen
        now = _seen(suite)
        if now != seen:
            seen = now
            try:
                offer = make_offer(config, suite)
            except ConfigError:  # the voice that is wanted left: it may come back, and another one serves till then
                offer = make_offer(config.model_copy(update={"session": _any_voice(config)}), suite)
        return offer

    return current


def _seen(suite: Suite) -> tuple[object, ...]:
    return models_of(suite.brain), suite.recognizer.name, suite.synthesizer.voices


def _any_voice(config: Config) -> SessionDefaults:
    return config.session.model_copy(update={"voice": None})
