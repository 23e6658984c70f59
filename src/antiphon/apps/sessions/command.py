"""What ``antiphon sessions`` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from rich.table import Table

from antiphon.apps.models.server import DEFAULT_URL, LIST_TIMEOUT, ServerError, ask
from antiphon.apps.terminal import wide_console
from antiphon.transport.conversations import PATH


async def list_sessions(url: str | None, api_key: str | None) -> int:
    """Prints the conversations that the server keeps."""
    at = url or DEFAULT_URL
    told = await ask("GET", at, PATH, api_key, None, LIST_TIMEOUT)
    wide_console().print(_table(told["data"], at))
    return 0


def _table(conversations: Sequence[dict[str, Any]], url: str) -> Table:
    table = Table(title=f"Conversations kept at {url}", title_justify="left")
    table.add_column("id", no_wrap=True)
    table.add_column("begun")
    table.add_column("last changed")
    table.add_column("items", justify="right")
    for each in conversations:
        times = (datetime.fromtimestamp(each[key]).astimezone() for key in ("created_at", "changed_at"))
        table.add_row(each["id"], *(time.isoformat(" ", "minutes") for time in times), str(each["items"]))
    return table


async def delete(conversations: Sequence[str], url: str | None, api_key: str | None) -> int:
    """Deletes what there is of them, and says which there were not."""
    at, missing = url or DEFAULT_URL, 0
    console = wide_console()
    for conversation in conversations:
        try:
            await ask("DELETE", at, f"{PATH}/{quote(conversation, safe='')}", api_key, None, LIST_TIMEOUT)
        except ServerError as error:
            if not error.reached:
                raise
            missing += 1
            console.print(f"{conversation}: {error}", highlight=False, markup=False, style="red")
        else:
            console.print(f"{conversation} is deleted", highlight=False, markup=False)
    return 1 if missing else 0
