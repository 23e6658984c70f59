"""What the commands under ``antiphon voices`` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from antiphon.apps.speakers.book import SpeakerBook, checked_name, speakers_folder
from antiphon.apps.wav import read_wav
from antiphon.audio import EAR_RATE_HZ, ms_to_bytes
from antiphon.core.enrolment import contrast_db, doubts, enrolment
from antiphon.engines.base import SPEAKER_WINDOW_MS
from antiphon.engines.pyannote import Pyannote
from antiphon.errors import ConfigError

_LONGEST_MS = 120_000
"""More of a recording makes a voice no clearer."""

_NOTICE = "It tells who somebody is: enrol people who agree to it. It stays on this machine."


async def enrol(name: str, files: Sequence[Path], folder: Path | None) -> int:
    """Makes a voice of recordings known by name, and says where it may not be known again. Raises ConfigError and
    EngineError."""
    name = checked_name(name)
    audio = [read_wav(file, EAR_RATE_HZ) for file in files]
    step = ms_to_bytes(SPEAKER_WINDOW_MS, EAR_RATE_HZ)
    model = Pyannote()
    await model.load()
    try:
        windows = [pcm[at : at + step] for pcm in audio for at in range(0, len(pcm), step)]
        looks = [await model.voices(window) for window in windows[: _LONGEST_MS // SPEAKER_WINDOW_MS]]
    finally:
        await model.close()
    try:
        found = enrolment(looks)
    except ValueError as error:
        raise ConfigError(f"{' and '.join(map(str, files))} {error}") from None
    book = SpeakerBook(folder or speakers_folder(), model.name)
    doubtful = doubts(name, found, min(map(contrast_db, audio)), book.voices())
    file = book.enrol(name, found)
    console = Console(highlight=False)
    console.print(f"{name} is known from now on, by {found.speech_ms / 1000:.1f} s of speech: {file}", soft_wrap=True)
    for doubt in doubtful:
        console.print(f"Mind: {doubt}.", style="yellow", soft_wrap=True)
    console.print(_NOTICE, style="dim")
    return 0


def list_people(folder: Path | None) -> int:
    """Shows who is enrolled."""
    where = folder or speakers_folder()
    people = SpeakerBook(where, Pyannote.name).people()
    console = Console(highlight=False)
    if not people:
        console.print(f"Nobody is enrolled in {where}: antiphon voices enrol NAME FILE.wav", soft_wrap=True)
        return 0
    table = Table("name", "speech", "enrolled")
    for person in people:
        table.add_row(person.name, f"{person.speech_s:.1f} s", f"{person.enrolled_at:%Y-%m-%d}")
    console.print(table)
    console.print(f"In {where}. {_NOTICE}", style="dim", soft_wrap=True)
    return 0


def forget(name: str, folder: Path | None) -> int:
    """Deletes what is known of a voice. Raises ConfigError."""
    SpeakerBook(folder or speakers_folder(), Pyannote.name).forget(name)
    Console(highlight=False).print(f"{name} is forgotten.")
    return 0
