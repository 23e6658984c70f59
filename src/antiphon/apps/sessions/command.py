"""What ``antiphon sessions`` does: with the file itself, since no server tells anybody which ones there are."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from rich.table import Table

from antiphon.apps.config_sources import resolve
from antiphon.apps.conversation_file import ConversationFile
from antiphon.apps.terminal import wide_console
from antiphon.errors import ConfigError
from antiphon.session.keeping import About


async def list_sessions(file: Path | None) -> int:
    """Prints the conversations that are kept in the file. Raises ConfigError."""
    async with _opened(file) as (path, kept):
        wide_console().print(_table(await kept.listed(), path))
    return 0


async def delete(conversations: Sequence[str], file: Path | None) -> int:
    """Deletes what there is of them, and says which there were not. Raises ConfigError."""
    missing = 0
    console = wide_console()
    async with _opened(file) as (_, kept):
        for conversation in conversations:
            if await kept.delete(conversation):
                console.print(f"{conversation} is deleted", highlight=False, markup=False)
            else:
                missing += 1
                console.print(f"{conversation}: there is none such", highlight=False, markup=False, style="red")
    return 1 if missing else 0


@asynccontextmanager
async def _opened(file: Path | None) -> AsyncIterator[tuple[Path, ConversationFile]]:
    """The file that is named, else that of the settings; a server may have it open too."""
    path = file or resolve({}, os.environ).config.sessions
    if path is None:
        raise ConfigError("which conversations? Give the file that the server keeps them in as --sessions FILE")
    if not path.is_file():
        raise ConfigError(f"--sessions {path}: there is no such file")
    kept = ConversationFile(path, None)
    await kept.open()
    try:
        yield path, kept
    finally:
        await kept.close()


def _table(conversations: Sequence[About], path: Path) -> Table:
    table = Table(title=f"Conversations kept in {path}", title_justify="left")
    table.add_column("id", no_wrap=True)
    table.add_column("begun")
    table.add_column("last changed")
    table.add_column("items", justify="right")
    for each in conversations:
        times = (datetime.fromtimestamp(at).astimezone() for at in (each.created_at, each.changed_at))
        table.add_row(each.id, *(time.isoformat(" ", "minutes") for time in times), str(each.items))
    return table
