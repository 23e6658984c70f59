"""Reads voice packs from a folder: ``<folder>/<family>/<id>/metadata.yaml``.

One that cannot be used is told with its file, line and key, and left out; the others are not touched by it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from antiphon.engines.voice_pack import Option, VoicePack
from antiphon.errors import AntiphonError
from antiphon.loudness import TARGET_LUFS

METADATA = "metadata.yaml"

_MAX_METADATA_BYTES = 64 << 10
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,8}(-[a-zA-Z0-9]{1,8})*")
_FILES = ("model", "config", "reference_audio")


class PackError(AntiphonError):
    """A pack cannot be used. ``pack`` is its voice's full name."""

    def __init__(self, pack: str, message: str) -> None:
        super().__init__(message)
        self.pack = pack


@dataclass(frozen=True, slots=True)
class Packs:
    """What a folder had when it was read."""

    packs: tuple[VoicePack, ...] = ()
    """By family and id."""
    problems: tuple[PackError, ...] = ()

    def of(self, family: str) -> Packs:
        return Packs(
            tuple(pack for pack in self.packs if pack.family == family),
            tuple(problem for problem in self.problems if problem.pack.partition(":")[0] == family),
        )

    @property
    def families(self) -> tuple[str, ...]:
        """Of the packs that can be used."""
        return tuple(dict.fromkeys(pack.family for pack in self.packs))


class _Metadata(BaseModel):
    """The keys of ``metadata.yaml``; paths are relative to the pack."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str | None = None
    family: str | None = None
    name: str = ""
    languages: list[str] = Field(min_length=1)
    licence: str = ""
    speed: float = Field(default=1.0, ge=0.25, le=4.0)
    pitch: float = Field(default=1.0, ge=0.5, le=2.0)
    loudness_lufs: float | None = Field(default=None, ge=-60.0, le=0.0)
    gain_db: float | None = Field(default=None, ge=-24.0, le=36.0)
    reference_audio: str | None = None
    reference_text: str = ""
    lora: str | None = None
    model: str | None = None
    config: str | None = None
    options: dict[str, Option] = Field(default_factory=dict)

    @field_validator("languages", mode="before")
    @classmethod
    def _one_language(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value

    @field_validator("languages")
    @classmethod
    def _are_languages(cls, value: list[str]) -> list[str]:
        for language in value:
            if not _LANGUAGE.fullmatch(language):
                raise ValueError(f"{language!r} is no BCP 47 language, such as en-US")
        return value

    @model_validator(mode="after")
    def _one_loudness(self) -> _Metadata:
        if self.gain_db is not None and self.loudness_lufs is not None:
            raise ValueError("gain_db and loudness_lufs exclude each other: the one follows from the other")
        return self


def packs_folder() -> Path:
    """Where packs are looked for unless another folder is named: in the platform's data folder."""
    match sys.platform:
        case "darwin":
            data = Path.home() / "Library" / "Application Support"
        case "win32":
            data = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        case _:
            data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return data / "antiphon" / "voicepacks"


def read_packs(folder: Path) -> Packs:
    """All packs in ``folder``, which need not exist. It reads small files: not in an event loop that serves."""
    packs: list[VoicePack] = []
    problems: list[PackError] = []
    for place in sorted(folder.glob("*/*/")):
        if place.name.startswith(".") or place.parent.name.startswith("."):
            continue
        try:
            packs.append(read_pack(place))
        except PackError as error:
            problems.append(error)
    return Packs(tuple(packs), tuple(problems))


def read_pack(folder: Path) -> VoicePack:
    """The pack in ``folder``. Raises PackError, with a line for each thing that is wrong."""
    family, pack_id = folder.parent.name, folder.name
    full_name = f"{family}:{pack_id}"
    for name in (family, pack_id):
        if not _NAME.fullmatch(name):
            raise PackError(full_name, f"{folder}: {name!r} is no name: use a-z, 0-9, - and _, a letter or digit first")
    path = folder / METADATA
    try:
        if path.stat().st_size > _MAX_METADATA_BYTES:
            raise PackError(full_name, f"{path} is larger than {_MAX_METADATA_BYTES >> 10} KiB")
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise PackError(full_name, f"{folder} has no {METADATA}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PackError(full_name, f"{path} cannot be read: {error}") from error
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark is not None else ""
        raise PackError(full_name, f"{path}{line}: no valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise PackError(full_name, f"{path}: no valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise PackError(full_name, f"{path} must hold keys and values, such as 'languages: [en-US]'")
    try:
        metadata = _Metadata.model_validate(content)
    except ValidationError as error:
        lines = _lines_of(tree)
        raise PackError(full_name, "\n".join(f"{path}{told}" for told in _told(error, lines))) from error
    wrong = [f"{path}{_at(_lines_of(tree), (key,))}{key}: {why}" for key, why in _contradictions(metadata, folder)]
    if wrong:
        raise PackError(full_name, "\n".join(wrong))
    return _pack(metadata, folder, text)


def _pack(metadata: _Metadata, folder: Path, text: str) -> VoicePack:
    def place(relative: str | None) -> Path | None:
        return None if relative is None else folder / relative

    gain_db = metadata.gain_db
    return VoicePack(
        family=folder.parent.name,
        id=folder.name,
        languages=tuple(metadata.languages),
        folder=folder,
        name=metadata.name or folder.name,
        licence=metadata.licence,
        speed=metadata.speed,
        pitch=metadata.pitch,
        loudness_lufs=metadata.loudness_lufs if gain_db is None else TARGET_LUFS - gain_db,
        reference_audio=place(metadata.reference_audio),
        reference_text=metadata.reference_text.strip(),
        lora=place(metadata.lora),
        model=place(metadata.model),
        config=place(metadata.config),
        options=MappingProxyType(dict(metadata.options)),
        version=_version(folder, text),
    )


def _contradictions(metadata: _Metadata, folder: Path) -> Iterator[tuple[str, str]]:
    """Keys that do not fit to where the pack lies and what lies in it, and why."""
    for key, said, there in (("id", metadata.id, folder.name), ("family", metadata.family, folder.parent.name)):
        if said is not None and said != there:
            yield key, f"{said!r}, but the folder is called {there!r}"
    for key in (*_FILES, "lora"):
        relative: str | None = getattr(metadata, key)
        if relative is None:
            continue
        parts = PurePosixPath(relative)
        path = folder / relative
        if parts.is_absolute() or ".." in parts.parts or "\\" in relative or ":" in relative:
            yield key, f"{relative!r} is not within the pack: give a path relative to it"
        elif key == "lora" and not path.is_dir():
            yield key, f"there is no folder {relative!r} in the pack"
        elif key != "lora" and not path.is_file():
            yield key, f"there is no file {relative!r} in the pack"


def _version(folder: Path, text: str) -> str:
    """Of the metadata's text and of the size and time of each other file."""
    digest = hashlib.sha256(text.encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / METADATA:
            about = path.stat()
            digest.update(f"\0{path.relative_to(folder)}\0{about.st_size}\0{about.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


_Lines = Mapping[tuple[str, ...], int]


def _lines_of(node: Any, above: tuple[str, ...] = ()) -> dict[tuple[str, ...], int]:
    """The line of each key, from 1."""
    lines: dict[tuple[str, ...], int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        path = (*above, str(key.value))
        lines[path] = key.start_mark.line + 1
        lines |= _lines_of(value, path)
    return lines


def _at(lines: _Lines, path: tuple[str, ...]) -> str:
    line = next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), None)
    return f", line {line}: " if line is not None else ": "


def _told(error: ValidationError, lines: _Lines) -> Iterator[str]:
    """A line for each key that is wrong; for one that may be of several types, the first complaint."""
    seen: set[tuple[str, ...]] = set()
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"])
        known = next((path[:length] for length in range(len(path), 0, -1) if path[:length] in lines), path)
        if known in seen:
            continue
        seen.add(known)
        unknown = problem["type"] == "extra_forbidden"
        reason = "there is no such key" if unknown else problem["msg"].removeprefix("Value error, ")
        key = ".".join(known)
        yield f"{_at(lines, path)}{key}: {reason}" if key else f": {reason}"
