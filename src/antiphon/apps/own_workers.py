"""The workers that a server starts for itself: what they host, where they listen, how they are started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from antiphon.apps.child_process import Command
from antiphon.apps.config import Config
from antiphon.apps.language_models import brains_of
from antiphon.engines import catalog
from antiphon.engines.base import Engine
from antiphon.engines.brain_transcripts import NAME as BY_BRAIN
from antiphon.engines.brain_transcripts import check_hears
from antiphon.engines.brains import brain_names
from antiphon.engines.pack_folder import packs_folder

REQUESTS_PER_SESSION = 2
"""A reply, and one that is prepared while it may yet be dropped."""

DRAIN_S = 1.0
"""What a worker of ours gets to end its requests when it is told to end by others than us, or left alone."""


@dataclass(frozen=True, slots=True)
class OwnWorkers:
    """A stage whose workers are ours."""

    models: tuple[str, ...]
    like: Engine
    """An engine of the first model, which is never loaded: it knows what people call it."""
    count: int = 1
    names: Mapping[str, str] = field(default_factory=dict)
    """What clients call the models, where that is not what the workers call them."""
    needed: int | None = None
    """How many of the models, from the first on, there is no serving without; all if None."""

    def workers(self, stage: str) -> tuple[str, ...]:
        return (stage, *(f"{stage}-{number}" for number in range(2, self.count + 1)))


async def own_workers_of(config: Config, stage: str, own_port: int | None) -> OwnWorkers:
    """What the workers of a stage of ours host. Raises ConfigError for what there is not."""
    match stage:
        case "asr":
            return OwnWorkers((config.asr,), catalog.make_recognizer(config.asr))
        case "llm":
            brains = await brains_of(config, own_port)
            models = tuple(brains)
            if config.asr == BY_BRAIN:
                check_hears(brains[models[0]])
            return OwnWorkers(models, brains[models[0]], names=brain_names(brains), needed=1)
        case _:
            models = catalog.synthesizer_names(config.tts)
            return OwnWorkers(models, catalog.make_synthesizer(config.tts), config.tts_workers)


def name_at(address: str) -> str:
    """The name of a worker of ours, by its socket."""
    return address.rpartition("/")[2].removesuffix(".sock")


def addresses_of(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"unix://{folder / name}.sock" for name in names)


def command_of(config: Config, stage: str, name: str, own: OwnWorkers, address: str) -> Command:
    models = ",".join(own.models)
    options = {
        "--models": models,
        "--preload": models,
        "--listen": address,
        "--max-concurrent": str(REQUESTS_PER_SESSION * config.max_sessions),
        "--drain-s": str(DRAIN_S),
        "--log-format": "json",
        "--log-level": config.log_level,
    }
    if stage == "tts":
        options |= {"--voicepacks": str(config.voicepacks or packs_folder()), "--loudness": str(config.loudness)}
    arguments = ("worker", stage, *(part for option in options.items() for part in option))
    return Command(name, arguments, spare=stage == "tts" and config.tts_spare and own.count == 1)
