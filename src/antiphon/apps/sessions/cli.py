"""The commands under ``antiphon sessions``. As in ``apps.cli``, what they do is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from antiphon.apps.finish import finish

sessions_app = typer.Typer(help="Conversations that a server keeps ('serve --sessions FILE').", no_args_is_help=True)

File = Annotated[
    Path | None,
    Option("--sessions", help="The file that they are kept in; that of the settings without it.", metavar="FILE"),
]


@sessions_app.command("list")
def list_sessions(sessions: File = None) -> None:
    """Show the conversations that are kept, the newest first."""
    from antiphon.apps.sessions import command

    raise typer.Exit(finish(command.list_sessions(sessions)))


@sessions_app.command()
def delete(
    conversations: Annotated[list[str], typer.Argument(help="The ids, as 'list' shows them.")],
    sessions: File = None,
) -> None:
    """Delete conversations, with all that was said. One that is in progress goes on, and is not kept any more."""
    from antiphon.apps.sessions import command

    raise typer.Exit(finish(command.delete(conversations, sessions)))
