"""The commands under ``antiphon voices``. As in ``apps.cli``, what they do is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from antiphon.apps.finish import finish

voices_app = typer.Typer(
    help="The people whom a server knows by their voices ('serve --speakers on'). What a voice is like identifies a "
    "person: it is kept in a folder of yours on this machine and goes nowhere.",
    no_args_is_help=True,
)

Folder = Annotated[
    Path | None,
    Option(
        "--enrolments", envvar="ANTIPHON_ENROLMENTS", help="The folder, instead of your data folder's.", metavar="DIR"
    ),
]
Name = Annotated[str, typer.Argument(help="The name.")]


@voices_app.command()
def enrol(
    name: Name,
    files: Annotated[
        list[Path], typer.Argument(help="WAV files of this person alone, three seconds or more of speech.")
    ],
    folder: Folder = None,
) -> None:
    """Make a person known by name; again for a better recording."""
    from antiphon.apps.speakers import command

    raise typer.Exit(finish(command.enrol(name, files, folder)))


@voices_app.command("list")
def list_people(folder: Folder = None) -> None:
    """Show who is known."""
    from antiphon.apps.speakers import command

    raise typer.Exit(command.list_people(folder))


@voices_app.command()
def forget(name: Name, folder: Folder = None) -> None:
    """Delete what is known of a person."""
    from antiphon.apps.speakers import command

    raise typer.Exit(command.forget(name, folder))
