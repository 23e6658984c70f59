"""How a server tells speakers apart, made of its configuration."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from antiphon.apps.speakers.book import SpeakerBook, speakers_folder
from antiphon.engines.pyannote import Pyannote
from antiphon.session.identity import Speakers

Wanted = Literal["off", "on", "enrolled"]


async def speakers_of(wanted: Wanted, folder: Path | None, stack: AsyncExitStack) -> Speakers | None:
    """The loaded model and the folder of those known by name, until ``stack`` closes. Raises EngineError."""
    if wanted == "off":
        return None
    model = Pyannote()
    await model.load()
    stack.push_async_callback(model.close)
    book = SpeakerBook(folder or speakers_folder(), model.name)
    return Speakers(model, book.voices, numbered=wanted == "on")
