"""The command ``antiphon``. Only the options live here; what a command does is imported when it is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from antiphon import __version__
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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


LISTENING = "Where it listens"
ENGINES = "Engines"
LIMITS = "Limits"
LOGS = "Logs and records"
CONFIGURATION = "Configuration"


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[
        str | None,
        typer.Option(help="The address; any but a loopback address needs a key.", rich_help_panel=LISTENING),
    ] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.", rich_help_panel=LISTENING)] = None,
    api_key: Annotated[
        list[str] | None,
        typer.Option(help="A key that clients must show; may be repeated.", rich_help_panel=LISTENING),
    ] = None,
    insecure: Annotated[
        bool | None,
        typer.Option("--insecure", help="Listen on any address without a key.", rich_help_panel=LISTENING),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose web pages may connect; may be repeated.", rich_help_panel=LISTENING),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(help="The certificate chain (PEM), for https and wss.", rich_help_panel=LISTENING)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(help="The certificate's private key (PEM).", rich_help_panel=LISTENING)
    ] = None,
    vad: Annotated[
        str | None, typer.Option(help="Tells speech from silence.", rich_help_panel=ENGINES, metavar="ENGINE")
    ] = None,
    asr: Annotated[
        str | None, typer.Option(help="Recognizes speech.", rich_help_panel=ENGINES, metavar="ENGINE:MODEL")
    ] = None,
    llm: Annotated[
        str | None,
        typer.Option(
            help="Answers: an engine, or the URL of an OpenAI-compatible server; 'auto' looks for a local one.",
            rich_help_panel=ENGINES,
            metavar="ENGINE:MODEL|URL",
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The model to ask for at that URL.", rich_help_panel=ENGINES, metavar="NAME")
    ] = None,
    tts: Annotated[str | None, typer.Option(help="Speaks.", rich_help_panel=ENGINES, metavar="ENGINE:VOICE")] = None,
    max_sessions: Annotated[int | None, typer.Option(help="Sessions at the same time.", rich_help_panel=LIMITS)] = None,
    max_session_s: Annotated[
        float | None, typer.Option(help="How long a session may last.", rich_help_panel=LIMITS)
    ] = None,
    idle_timeout_s: Annotated[
        float | None, typer.Option(help="How long a client may stay silent altogether.", rich_help_panel=LIMITS)
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(help="How log lines look.", rich_help_panel=LOGS, metavar="auto|json|console")
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option(help="The least important to show.", rich_help_panel=LOGS, metavar="debug|info|warning|error"),
    ] = None,
    log_transcripts: Annotated[
        bool | None, typer.Option("--log-transcripts", help="Log what was said.", rich_help_panel=LOGS)
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="A folder to record sessions into, for 'replay'.", rich_help_panel=LOGS)
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            help="The configuration file, instead of ./antiphon.yaml or the one in your configuration folder.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = None,
    print_config: Annotated[
        bool,
        typer.Option(
            "--print-config",
            help="Print what is in effect and where each value came from, and exit.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = False,
    ready_fd: Annotated[
        int | None,
        typer.Option(
            help="A file descriptor to write the server's URL to, with a newline, when it is ready.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = None,
) -> None:
    """Serve voice agents over the OpenAI Realtime protocol.

    Every option can also be given as ANTIPHON_... in the environment or as a key of antiphon.yaml, which holds further
    settings: the voice, the instructions, turn-taking and barge-in. See docs/CONFIGURATION.md.
    """
    from antiphon.apps.config import render, resolve

    beside = {"config", "print_config", "ready_fd"}
    options = {name: value for name, value in ctx.params.items() if name not in beside}
    resolved = resolve(options, os.environ, config, folder=Path(typer.get_app_dir("antiphon")))
    if print_config:
        typer.echo(render(resolved))
        return
    from antiphon.apps.serve import run

    raise typer.Exit(run(resolved.config, ready_fd))


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="A session's file, as 'serve --record' writes it.")],
) -> None:
    """Run a recorded session again and compare what is decided."""
    from antiphon.apps.replay_command import run

    raise typer.Exit(run(recording))


def main() -> None:
    """Runs the command line. An error that the user can act on is one plain message, and exit code 2."""
    try:
        app()
    except AntiphonError as error:
        sys.stderr.write(f"antiphon: {error}\n")
        sys.exit(2)
