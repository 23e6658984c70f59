"""The command ``antiphon``. Only options live here and in ``cli_*``; what a command does is imported when asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option
from typer.core import TyperGroup

from antiphon import __version__
from antiphon.apps.cli_clients import juno, loadtest, selftest, talk
from antiphon.apps.cli_serve import serve
from antiphon.apps.cli_worker import worker
from antiphon.apps.models.cli import models_app
from antiphon.apps.sessions.cli import sessions_app
from antiphon.apps.speakers.cli import voices_app
from antiphon.errors import AntiphonError


class _ServeByDefault(TyperGroup):
    """``antiphon --port 9000`` is ``antiphon serve --port 9000``."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        own = {name for parameter in self.get_params(ctx) for name in parameter.opts}
        if not args or (args[0].startswith("-") and args[0].split("=")[0] not in own):
            args = ["serve", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    name="antiphon",
    cls=_ServeByDefault,
    help="Full-duplex voice agents: a server of the OpenAI Realtime protocol, and tools to talk to it. "
    "Without a command it serves.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"antiphon {__version__}")
        raise typer.Exit


@app.callback()
def antiphon(
    version: Annotated[bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


app.command()(serve)
app.command()(talk)
app.command()(juno)
app.command()(selftest)
app.command()(loadtest)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="A session's file: of 'serve --record', or the page's download.")],
) -> None:
    """Run a recorded session again and compare what is decided."""
    from antiphon.apps.replay_command import run

    raise typer.Exit(run(recording))


@app.command(hidden=True)
def media(
    assignment: Annotated[Path, typer.Argument(help="What its server tells it.")],
    ready_fd: Annotated[int | None, Option(help="A file descriptor to tell that it is ready.")] = None,
) -> None:
    """Carry calls over WebRTC for the server that starts it."""
    from antiphon.apps.media.process import run

    raise typer.Exit(run(assignment, ready_fd))


app.command()(worker)
app.add_typer(models_app, name="models")
app.add_typer(sessions_app, name="sessions")
app.add_typer(voices_app, name="voices")


def main() -> None:
    """Runs the command line. An error that the user can act on is one plain message, and exit code 2."""
    try:
        app()
    except AntiphonError as error:
        sys.stderr.write(f"antiphon: {error}\n")
        sys.exit(2)
