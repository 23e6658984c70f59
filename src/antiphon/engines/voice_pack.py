"""A voice pack: a folder that describes a voice of an engine, ``voicepacks/<family>/<id>/``.

It has a ``metadata.yaml`` and whatever files that names: a model and its configuration, reference audio to clone, an
adapter. ``antiphon.engines.pack_folder`` reads packs; engines that speak with them are ``TakesPacks``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from antiphon.engines.base import VoiceInfo
from antiphon.errors import EngineError

Option = str | int | float | bool


@dataclass(frozen=True, slots=True)
class VoicePack:
    """What was read of a pack. Every path exists and lies in ``folder``. Equal packs have the same files."""

    family: str
    """The engine's name, as before the colon in "piper:receptionist"."""
    id: str
    """What the voice is called within its engine."""
    languages: tuple[str, ...]
    """BCP 47, at least one; the first is its own."""
    folder: Path
    name: str = ""
    """For people."""
    licence: str = ""
    speed: float = 1.0
    """Its pace, by which a client's is multiplied before an engine is asked for it."""
    pitch: float = 1.0
    """How high it speaks, against the engine's own pitch. An engine that cannot change it refuses another value."""
    loudness_lufs: float | None = None
    """Of what the engine makes with it, before it is brought to the common loudness; None where it was not measured."""
    reference_audio: Path | None = None
    reference_text: str = ""
    """What is said in the reference audio."""
    lora: Path | None = None
    """A folder, as peft writes it."""
    model: Path | None = None
    config: Path | None = None
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))
    """The engine's own settings."""
    version: str = ""
    """Changes with its files."""

    @property
    def full_name(self) -> str:
        """What clients call the voice."""
        return f"{self.family}:{self.id}"


@runtime_checkable
class TakesPacks(Protocol):
    """A synthesizer that speaks with voice packs too.

    Once a pack is added, ``speak`` takes its id as the name of a voice. What is spoken when a pack is replaced or
    removed is spoken to its end as it began. ``voices`` tells of the engine's own voices alone.
    """

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        """What the pack's voice will be, called by the pack's id. Reads no files and needs no model.

        Raises EngineError for a pack that asks for what the engine cannot do, naming the key.
        """
        ...

    async def add_pack(self, pack: VoicePack) -> None:
        """Reads what the pack needs; from then on its voice can speak, in place of an older pack of that id.

        Called once the engine is loaded. Raises EngineError; the older one stays then.
        """
        ...

    async def remove_pack(self, pack_id: str) -> None:
        """Does nothing where there is none of that id."""
        ...


def check_pack(
    pack: VoicePack, engine: str, *, takes: Collection[str] = (), options: Mapping[str, tuple[type, ...]] | None = None
) -> None:
    """Raises EngineError where the pack has a key or an option that ``engine`` (as people call it) has no use for.

    ``takes`` are those of speed, pitch, reference_audio, lora, model and config that it can use, ``options`` its own
    settings and their types.
    """
    given = {
        "speed": pack.speed != 1.0,
        "pitch": pack.pitch != 1.0,
        "reference_audio": pack.reference_audio is not None,
        "lora": pack.lora is not None,
        "model": pack.model is not None,
        "config": pack.config is not None,
    }
    for key, is_given in given.items():
        if is_given and key not in takes:
            raise EngineError(f"{key}: {engine} has no use for it")
    known = options or {}
    for name, value in pack.options.items():
        if name not in known:
            there = f"there are {', '.join(known)}" if known else "it has none"
            raise EngineError(f"options.{name}: {engine} has no such option; {there}")
        if type(value) not in known[name]:
            wanted = " or ".join(kind.__name__ for kind in known[name])
            raise EngineError(f"options.{name}: {value!r} is no {wanted}")
