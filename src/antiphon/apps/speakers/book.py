"""The voices that are known by name: a folder with a file for each person, on this machine alone.

A file holds what a voice is like, in numbers, and no sound. It identifies a person all the same: the folder is its
user's alone (0700), and nothing of it is sent anywhere or written into logs and recordings.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from antiphon.core.enrolment import Enrolment
from antiphon.core.who import Embedding, unit
from antiphon.engines.pack_folder import packs_folder
from antiphon.errors import ConfigError

log = structlog.get_logger(__name__)

_SUFFIX = ".json"
_LONGEST_NAME = 40
_NUMBERED = "speaker "


class Person(BaseModel):
    """A file of the folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    """The speaker model that the embedding is of; no other can read it."""
    embedding: tuple[float, ...] = Field(min_length=2)
    speech_s: float
    enrolled_at: datetime


@dataclass(slots=True)
class SpeakerBook:
    """``folder`` need not exist. Reads small files, again only when the folder or one of them has changed."""

    folder: Path
    model: str
    _seen: tuple[tuple[str, int], ...] | None = None
    _people: tuple[Person, ...] = ()

    def people(self) -> tuple[Person, ...]:
        """Those enrolled with this model, by name. What cannot be read is told in the log, once, and left out."""
        files = sorted(self.folder.glob("*" + _SUFFIX))
        seen = tuple((file.name, file.stat().st_mtime_ns) for file in files)
        if seen != self._seen:
            found = (self._read(file) for file in files)
            self._people = tuple(sorted((each for each in found if each is not None), key=lambda each: each.name))
            self._seen = seen
        return self._people

    def voices(self) -> Mapping[str, Embedding]:
        return {person.name: person.embedding for person in self.people()}

    def _read(self, file: Path) -> Person | None:
        try:
            person = Person.model_validate_json(file.read_bytes())
            unit(person.embedding)
        except (OSError, ValidationError, ValueError) as error:
            log.warning("an enrolled voice cannot be read", file=str(file), error=str(error).splitlines()[0])
            return None
        if person.model != self.model:
            log.warning("an enrolled voice is of another model: enrol it again", file=str(file), model=person.model)
            return None
        return person

    def enrol(self, name: str, enrolment: Enrolment) -> Path:
        """Writes the person's file, in the place of an older one. Raises ConfigError."""
        person = Person(
            name=checked_name(name),
            model=self.model,
            embedding=tuple(round(value, 6) for value in enrolment.embedding),
            speech_s=enrolment.speech_ms / 1000,
            enrolled_at=datetime.now(UTC).replace(microsecond=0),
        )
        file = self._file(person.name)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=self.folder)  # of mode 0600
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(person.model_dump_json(indent=1))
            Path(made).replace(file)
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written: {error.strerror}") from error
        return file

    def forget(self, name: str) -> None:
        """Deletes the person's file. Raises ConfigError where there is none."""
        try:
            self._file(checked_name(name)).unlink()
        except FileNotFoundError:
            known = ", ".join(person.name for person in self.people()) or "nobody"
            raise ConfigError(f"nobody is enrolled as {name!r}; {known} is") from None
        except OSError as error:
            raise ConfigError(f"{self.folder} cannot be written: {error.strerror}") from error

    def _file(self, name: str) -> Path:
        return self.folder / (sha256(name.casefold().encode()).hexdigest()[:32] + _SUFFIX)


def speakers_folder() -> Path:
    """Where enrolled voices are kept unless another folder is named: in the platform's data folder."""
    return packs_folder().parent / "speakers"


def checked_name(name: str) -> str:
    """A name as a language model may read it, ``[name]: words``. Raises ConfigError for one that would mislead it."""
    name = " ".join(name.split())
    if not name or len(name) > _LONGEST_NAME or not name.isprintable() or any(sign in name for sign in "[]:"):
        raise ConfigError(f"a name has 1 to {_LONGEST_NAME} letters, digits and spaces, and none of [ ] :")
    if name.lower().startswith(_NUMBERED) or name.startswith("."):
        raise ConfigError("names that begin with 'Speaker ' or a dot are taken: choose another")
    return name
