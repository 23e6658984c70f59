"""What ``antiphon models`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from antiphon.apps.models import server
from antiphon.apps.models.manifest import MODELS, Model, find_model
from antiphon.apps.models.store import Kept, kept_models
from antiphon.apps.models.store import pull as pull_model
from antiphon.apps.terminal import wide_console
from antiphon.engines.model_files import models_folder
from antiphon.engines.pack_folder import Packs, packs_folder, read_packs

_STATES = {"resident": "[green]resident[/green]", "failed": "[red]failed[/red]"}


async def list_models(url: str | None, api_key: str | None) -> int:
    """Prints what can be pulled, what is on this machine, and what the server has in memory."""
    console = wide_console()
    console.print(_known_table(kept_models()))
    console.print(f"in {models_folder()}", highlight=False, markup=False, style="dim")
    _show_packs(console, packs_of(os.environ))
    try:
        console.print(_places_table(await server.places(url or server.DEFAULT_URL, api_key), url or server.DEFAULT_URL))
    except server.ServerError as error:
        if url is not None or error.reached:
            raise
        note = f"no server runs at {server.DEFAULT_URL}: give --url to see what one has in memory"
        console.print(note, style="dim", highlight=False, markup=False)
    return 0


def packs_of(environment: Mapping[str, str]) -> Path:
    """The folder of voice packs, as a server that is started here would find it."""
    from antiphon.apps.config_sources import resolve

    folder = Path(typer.get_app_dir("antiphon"))
    return resolve({}, environment, folder=folder).config.voicepacks or packs_folder()


def _show_packs(console: Console, folder: Path) -> None:
    found = read_packs(folder)
    if found.packs or found.problems:
        console.print(_packs_table(found))
    console.print(f"voice packs in {folder}", highlight=False, markup=False, soft_wrap=True, style="dim")
    for problem in found.problems:
        console.print(str(problem), highlight=False, markup=False, soft_wrap=True, style="red")


def _packs_table(found: Packs) -> Table:
    table = Table(title="Voice packs", title_justify="left")
    for title in ("voice", "", "languages", "licence"):
        table.add_column(title, no_wrap=title == "voice")
    for pack in found.packs:
        table.add_row(*map(escape, (pack.full_name, pack.name, ", ".join(pack.languages), pack.licence)))
    for problem in found.problems:
        table.add_row(escape(problem.pack), "[red]cannot be used, see below[/red]")
    return table


def _known_table(kept: Sequence[Kept]) -> Table:
    table = Table(title="Models", title_justify="left")
    table.add_column("name", no_wrap=True)
    table.add_column("")
    table.add_column("licence")
    table.add_column("size", justify="right")
    table.add_column("on this machine", justify="right")
    here = {model.name: model for model in kept}
    for name in dict.fromkeys((*MODELS, *here)):
        known, own = MODELS.get(name), here.get(name)
        licence = known.licence if known else str((own.record or {}).get("licence", "")) if own else ""
        size = f"{known.size_mb} MB" if known and known.size_mb else ""
        table.add_row(name, known.what if known else "", licence, size, _megabytes(own.size_bytes) if own else "")
    return table


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _places_table(places: Sequence[dict[str, Any]], url: str) -> Table:
    table = Table(title=f"In memory at {url}", title_justify="left")
    for title in ("stage", "name", "where", "state", "in use"):
        table.add_column(title)
    for place in places:
        in_use = place.get("in_use")
        state = str(place.get("state", ""))
        cells = [str(place.get(key, "")) for key in ("stage", "name", "where")]
        table.add_row(*cells, _STATES.get(state, state), "" if in_use is None else str(in_use))
    return table


async def pull(names: Sequence[str], *, again: bool) -> int:
    """Downloads models, one after the other."""
    models = [find_model(name) for name in names]
    console = Console(stderr=True)
    for model in models:
        with _progress(console) as bars:
            folder = await pull_model(model, again=again, progress=_Bars(bars))
        if folder is None:
            console.print(f"{model.name} is on this machine already; --again replaces it", highlight=False)
        else:
            console.print(f"{model.name}: {_terms(model)}", highlight=False, markup=False)
            print(folder)
    return 0


def _terms(model: Model) -> str:
    return f"{model.what} (licence: {model.licence})"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


class _Bars:
    """A bar for each file, from its first byte on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int | None) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)


async def change(verb: str, body: dict[str, str], url: str | None, api_key: str | None) -> int:
    """Has a server load, unload, swap or reload models, and prints what it has in memory then."""
    at = url or server.DEFAULT_URL
    wide_console().print(_places_table(await server.change(at, api_key, verb, body), at))
    return 0
