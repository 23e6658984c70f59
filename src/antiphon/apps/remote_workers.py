"""Workers that run elsewhere: where they are, and how they are reached."""

from __future__ import annotations

from antiphon.apps.config import Config
from antiphon.errors import ConfigError
from antiphon.voices.registry import Registry, StaticRegistry, is_address, open_registry
from antiphon.voices.worker_tls import WorkerTls

STAGES = ("asr", "llm", "tts")


def registries_of(config: Config) -> dict[str, Registry]:
    """Where the workers of each stage are that run elsewhere. Raises ConfigError."""
    if config.registry is not None:
        return {stage: open_registry(config.registry) for stage in STAGES}
    addresses: dict[str, list[str]] = {}
    for worker in config.workers:
        stage, equals, address = worker.partition("=")
        if equals and stage not in STAGES:
            raise ConfigError(f"--workers {worker}: there is no stage {stage!r}; there are {', '.join(STAGES)}")
        at = address if equals else worker
        if not is_address(at):
            raise ConfigError(f"--workers {worker}: {at!r} is no address; write [STAGE=]HOST:PORT or unix:///PATH")
        for name in (stage,) if equals else STAGES:
            addresses.setdefault(name, []).append(at)
    return {stage: StaticRegistry(tuple(found)) for stage, found in addresses.items()}


def tls_of(config: Config) -> WorkerTls | None:
    """How they are reached: None for without TLS."""
    if config.worker_ca is None and config.worker_cert is None:
        return None
    return WorkerTls(config.worker_ca, config.worker_cert, config.worker_key)
