"""The commands under ``antiphon sessions``. As in ``apps.cli``, what they do is imported when it is asked for."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from antiphon.apps.finish import finish

sessions_app = typer.Typer(help="Conversations that a server keeps ('serve --sessions FILE').", no_args_is_help=True)

ApiKey = Annotated[str | None, Option(help="The key that the server asks for.")]
SessionsUrl = Annotated[str | None, Option("--url", help="The server; http://127.0.0.1:8080 without it.")]


@sessions_app.command("list")
def list_sessions(url: SessionsUrl = None, api_key: ApiKey = None) -> None:
    """Show the conversations that are kept, the newest first."""
    from antiphon.apps.sessions import command

    raise typer.Exit(finish(command.list_sessions(url, api_key)))


@sessions_app.command()
def delete(
    conversations: Annotated[list[str], typer.Argument(help="The ids, as 'list' shows them.")],
    url: SessionsUrl = None,
    api_key: ApiKey = None,
) -> None:
    """Delete conversations, with all that was said. One that is in progress goes on, and is not kept any more."""
    from antiphon.apps.sessions import command

    raise typer.Exit(finish(command.delete(conversations, url, api_key)))
