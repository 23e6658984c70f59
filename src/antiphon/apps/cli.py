"""The command ``antiphon``. Only the options live here; what a command does is imported when it is asked for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option
from typer.core import TyperGroup

from antiphon import __version__
from antiphon.apps.finish import finish
from antiphon.apps.models.cli import models_app
from antiphon.errors import AntiphonError, ConfigError


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


app.add_typer(models_app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"antiphon {__version__}")
        raise typer.Exit


@app.callback()
def antiphon(
    version: Annotated[bool, Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


LISTENING = "Where it listens"
WEBRTC = "WebRTC"
ENGINES = "Engines"
WORKERS = "Where the engines run"
LIMITS = "Limits"
LOGS = "Logs and records"
CONFIGURATION = "Configuration"
SERVER = "Which server"

Vad = Annotated[str | None, Option(help="Tells speech from silence.", metavar="ENGINE", rich_help_panel=ENGINES)]
Asr = Annotated[str | None, Option(help="Recognizes speech.", metavar="ENGINE:MODEL", rich_help_panel=ENGINES)]
Llm = Annotated[
    str | None,
    Option(
        help="Answers: an engine, or the URL of an OpenAI-compatible server; 'auto' looks for a local one.",
        metavar="ENGINE:MODEL|URL",
        rich_help_panel=ENGINES,
    ),
]
Model = Annotated[str | None, Option(help="The model to ask for at that URL.", metavar="NAME", rich_help_panel=ENGINES)]
Tts = Annotated[str | None, Option(help="Speaks.", metavar="ENGINE:VOICE", rich_help_panel=ENGINES)]

VoicePacks = Annotated[
    Path | None,
    Option(help="The folder of voice packs, instead of your data folder's.", metavar="DIR", rich_help_panel=ENGINES),
]
Loudness = Annotated[
    str | None, Option(help="What every voice is brought to; -16 LUFS.", metavar="LUFS|off", rich_help_panel=ENGINES)
]

Url = Annotated[
    str | None, Option(help="A server that runs; without it, one is started for the time.", rich_help_panel=SERVER)
]
ApiKey = Annotated[str | None, Option(help="The key that the server asks for.", rich_help_panel=SERVER)]
JsonFile = Annotated[Path | None, Option("--json", help="A file to write the figures to.", metavar="FILE")]


@app.command()
def serve(
    ctx: typer.Context,
    host: Annotated[
        str | None, Option(help="The address; any but a loopback address needs a key.", rich_help_panel=LISTENING)
    ] = None,
    port: Annotated[int | None, Option(help="The port; 0 takes a free one.", rich_help_panel=LISTENING)] = None,
    api_key: Annotated[
        list[str] | None, Option(help="A key that clients must show; may be repeated.", rich_help_panel=LISTENING)
    ] = None,
    insecure: Annotated[
        bool | None, Option("--insecure", help="Listen on any address without a key.", rich_help_panel=LISTENING)
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        Option(help="An origin whose web pages may connect; may be repeated.", rich_help_panel=LISTENING),
    ] = None,
    tls_cert: Annotated[
        Path | None, Option(help="The certificate chain (PEM), for https and wss.", rich_help_panel=LISTENING)
    ] = None,
    tls_key: Annotated[
        Path | None, Option(help="The certificate's private key (PEM).", rich_help_panel=LISTENING)
    ] = None,
    tls: Annotated[
        str | None,
        Option(
            help="Make a certificate, for phones on your network.", metavar="self-signed", rich_help_panel=LISTENING
        ),
    ] = None,
    open_browser: Annotated[
        bool | None, Option("--open-browser/--no-open-browser", help="Open the page.", rich_help_panel=LISTENING)
    ] = None,
    ice_server: Annotated[
        list[str] | None,
        Option(
            help="Helps WebRTC through firewalls; may be repeated.",
            metavar="stun:HOST:PORT|turn:USER:PASSWORD@HOST:PORT",
            rich_help_panel=WEBRTC,
        ),
    ] = None,
    webrtc_ports: Annotated[
        str | None, Option(help="The UDP ports for WebRTC.", metavar="LOW-HIGH", rich_help_panel=WEBRTC)
    ] = None,
    nat_1to1: Annotated[
        str | None,
        Option(
            "--nat-1to1", help="The address by which clients reach this machine.", metavar="IP", rich_help_panel=WEBRTC
        ),
    ] = None,
    relay_only: Annotated[
        bool | None, Option("--relay-only", help="Only by way of the TURN servers.", rich_help_panel=WEBRTC)
    ] = None,
    livekit_url: Annotated[
        str | None, Option(help="A LiveKit server with a room to join.", metavar="wss://HOST", rich_help_panel=WEBRTC)
    ] = None,
    livekit_token: Annotated[str | None, Option(help="The access token for the room.", rich_help_panel=WEBRTC)] = None,
    livekit_identity: Annotated[
        str | None,
        Option(help="With whom to converse there; the first who can, else.", metavar="NAME", rich_help_panel=WEBRTC),
    ] = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
    voicepacks: VoicePacks = None,
    loudness: Loudness = None,
    in_process: Annotated[
        bool | None,
        Option("--in-process", help="In the server's own process, not in one beside it.", rich_help_panel=WORKERS),
    ] = None,
    tts_workers: Annotated[
        int | None, Option(help="How many processes speak; the second stands by.", rich_help_panel=WORKERS)
    ] = None,
    tts_spare: Annotated[
        bool | None,
        Option(
            "--tts-spare/--no-tts-spare",
            help="Keep a process prepared that takes the place of the only one that speaks.",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    workers: Annotated[
        list[str] | None,
        Option(
            help="Workers that run elsewhere; may be repeated.",
            metavar="[STAGE=]HOST:PORT,...",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    registry: Annotated[
        str | None,
        Option(
            help="Where workers make themselves known.",
            metavar="redis://HOST:PORT/DB|dns://NAME:PORT",
            rich_help_panel=WORKERS,
        ),
    ] = None,
    worker_ca: Annotated[
        Path | None, Option(help="Who signed the certificates of workers elsewhere (PEM).", rich_help_panel=WORKERS)
    ] = None,
    worker_cert: Annotated[
        Path | None, Option(help="The certificate chain that they are shown (PEM).", rich_help_panel=WORKERS)
    ] = None,
    worker_key: Annotated[Path | None, Option(help="Its private key (PEM).", rich_help_panel=WORKERS)] = None,
    max_sessions: Annotated[int | None, Option(help="Sessions at the same time.", rich_help_panel=LIMITS)] = None,
    max_session_s: Annotated[float | None, Option(help="How long a session may last.", rich_help_panel=LIMITS)] = None,
    idle_timeout_s: Annotated[
        float | None, Option(help="How long a client may stay silent altogether.", rich_help_panel=LIMITS)
    ] = None,
    resume_s: Annotated[
        float | None, Option(help="How long a session waits for a client that was lost.", rich_help_panel=LIMITS)
    ] = None,
    log_format: Annotated[
        str | None, Option(help="How log lines look.", metavar="auto|json|console", rich_help_panel=LOGS)
    ] = None,
    log_level: Annotated[
        str | None,
        Option(help="The least important to show.", metavar="debug|info|warning|error", rich_help_panel=LOGS),
    ] = None,
    log_transcripts: Annotated[
        bool | None, Option("--log-transcripts", help="Log what was said.", rich_help_panel=LOGS)
    ] = None,
    record: Annotated[
        Path | None, Option(help="A folder to record sessions into, for 'replay'.", rich_help_panel=LOGS)
    ] = None,
    client_records: Annotated[
        bool | None,
        Option(
            "--client-records/--no-client-records",
            help="Record a session, for its client, when that asks.",
            rich_help_panel=LOGS,
        ),
    ] = None,
    config: Annotated[
        Path | None,
        Option(
            help="The file, instead of ./antiphon.yaml or the one in your configuration folder.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = None,
    print_config: Annotated[
        bool,
        Option(
            "--print-config",
            help="Print what is in effect and where each value came from, and exit.",
            rich_help_panel=CONFIGURATION,
        ),
    ] = False,
    ready_fd: Annotated[
        int | None,
        Option(
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
def talk(
    url: Url = None,
    api_key: ApiKey = None,
    input_file: Annotated[
        Path | None, Option("--in", help="Speak a WAV file instead of the microphone.", metavar="FILE")
    ] = None,
    output_file: Annotated[
        Path | None, Option("--out", help="Write the call to a WAV file: user left, agent right.", metavar="FILE")
    ] = None,
    fast: Annotated[bool, Option("--fast", help="With --in: do not wait for real time to pass.")] = False,
    text: Annotated[bool, Option("--text", help="Type the turns, a line each.")] = False,
    list_devices: Annotated[bool, Option("--list-devices", help="Print the audio devices, and exit.")] = False,
    input_device: Annotated[str | None, Option(help="The microphone, by name or number.")] = None,
    output_device: Annotated[str | None, Option(help="The speakers, by name or number.")] = None,
    cancel_echo: Annotated[bool, Option(help="Cancel the echo of the speakers in the microphone.")] = True,
    voice: Annotated[str | None, Option(help="The voice that answers.")] = None,
    instructions: Annotated[str | None, Option(help="What the language model is told to be.")] = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
) -> None:
    """Converse in the terminal: microphone and speakers, a file, or typed turns."""
    from antiphon.apps.talk import TalkOptions
    from antiphon.apps.talk import talk as run

    options = TalkOptions(
        url=url,
        api_key=api_key,
        input_file=input_file,
        output_file=output_file,
        fast=fast,
        text=text,
        list_devices=list_devices,
        input_device=input_device,
        output_device=output_device,
        cancel_echo=cancel_echo,
        voice=voice,
        instructions=instructions,
        server_arguments=_engine_arguments(vad=vad, asr=asr, llm=llm, model=model, tts=tts),
    )
    raise typer.Exit(finish(run(options)))


@app.command()
def selftest(
    url: Url = None,
    api_key: ApiKey = None,
    json_file: JsonFile = None,
    svg_file: Annotated[Path | None, Option("--svg", help="A file to draw the table into.", metavar="FILE")] = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
) -> None:
    """Prove a conversation and a barge-in on this machine, without a microphone, and show how fast it is."""
    from antiphon.apps.selftest import SelfTestOptions
    from antiphon.apps.selftest import selftest as run

    options = SelfTestOptions(
        url=url,
        api_key=api_key,
        server_arguments=_engine_arguments(vad=vad, asr=asr, llm=llm, model=model, tts=tts),
        json_file=json_file,
        svg_file=svg_file,
    )
    raise typer.Exit(finish(run(options)))


@app.command()
def loadtest(
    sessions: Annotated[str, Option(help="How many at a time, a row for each.", metavar="N,N,...")] = "1,10,50",
    seconds: Annotated[float, Option(help="How long each row takes.")] = 60.0,
    url: Url = None,
    api_key: ApiKey = None,
    json_file: JsonFile = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
) -> None:
    """Measure sessions against cost and latency: the capacity of this machine. The engines are scripted ones."""
    from antiphon.apps.loadtest import LoadTestOptions
    from antiphon.apps.loadtest import loadtest as run

    options = LoadTestOptions(
        sessions=_numbers(sessions),
        seconds=seconds,
        url=url,
        api_key=api_key,
        server_arguments=_engine_arguments(vad=vad, asr=asr, llm=llm, model=model, tts=tts),
        json_file=json_file,
    )
    raise typer.Exit(finish(run(options)))


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="A session's file, as 'serve --record' writes it.")],
) -> None:
    """Run a recorded session again and compare what is decided."""
    from antiphon.apps.replay_command import run

    raise typer.Exit(run(recording))


@app.command()
def worker(
    stage: Annotated[str, typer.Argument(help="What its engines do.", metavar="tts|asr|llm")],
    models: Annotated[
        list[str],
        Option(help="The engines, with commas between; the first is the default.", metavar="NAME,NAME,..."),
    ],
    listen: Annotated[str, Option(help="Where.", metavar="unix:///PATH|HOST:PORT", rich_help_panel=LISTENING)],
    preload: Annotated[
        list[str] | None, Option(help="Those that are loaded at the start, instead of the first.", metavar="NAME,...")
    ] = None,
    device: Annotated[
        str, Option(help="Where engines run that can choose.", metavar="auto|cpu|mps|cuda|cuda:NUMBER")
    ] = "auto",
    resident_cap: Annotated[
        int | None, Option(help="Models in memory at the same time.", rich_help_panel=LIMITS)
    ] = None,
    ttl_s: Annotated[float, Option(help="How long an idle model stays.", rich_help_panel=LIMITS)] = 600.0,
    min_residency_s: Annotated[
        float, Option(help="How long a model stays before it makes room for another.", rich_help_panel=LIMITS)
    ] = 120.0,
    voicepacks: VoicePacks = None,
    loudness: Loudness = None,
    max_concurrent: Annotated[int, Option(help="Requests at the same time.", min=1, rich_help_panel=LIMITS)] = 32,
    drain_s: Annotated[
        float, Option(help="How long requests may go on after a signal to end.", rich_help_panel=LIMITS)
    ] = 10.0,
    registry: Annotated[
        str | None,
        Option(help="Where it makes itself known: redis://HOST:PORT/DB.", metavar="URL", rich_help_panel=LISTENING),
    ] = None,
    advertise: Annotated[
        str | None,
        Option(help="The address to make known, if not this one's.", metavar="HOST:PORT", rich_help_panel=LISTENING),
    ] = None,
    insecure: Annotated[
        bool, Option("--insecure", help="Listen on any address without TLS.", rich_help_panel=LISTENING)
    ] = False,
    tls_cert: Annotated[Path | None, Option(help="The certificate chain (PEM).", rich_help_panel=LISTENING)] = None,
    tls_key: Annotated[Path | None, Option(help="Its private key (PEM).", rich_help_panel=LISTENING)] = None,
    tls_ca: Annotated[
        Path | None, Option(help="Clients must show a certificate signed by this one (PEM).", rich_help_panel=LISTENING)
    ] = None,
    log_format: Annotated[
        str, Option(help="How log lines look.", metavar="auto|json|console", rich_help_panel=LOGS)
    ] = "auto",
    log_level: Annotated[
        str, Option(help="The least important to show.", metavar="debug|info|warning|error", rich_help_panel=LOGS)
    ] = "info",
    ready_fd: Annotated[
        int | None,
        Option(help="A file descriptor to write the address to, when it is ready.", rich_help_panel=LISTENING),
    ] = None,
    standby_fd: Annotated[
        int | None,
        Option(help="A file descriptor to wait at for a byte, before it begins.", rich_help_panel=LISTENING),
    ] = None,
) -> None:
    """Host engines in a process of its own, for servers on this machine or on others."""
    from antiphon.apps.worker import WorkerOptions, names_in, run

    options = WorkerOptions(
        stage=stage,
        models=names_in(models),
        listen=listen,
        preload=None if preload is None else names_in(preload),
        device=device,
        resident_cap=resident_cap,
        ttl_s=ttl_s,
        min_residency_s=min_residency_s,
        voicepacks=voicepacks,
        loudness=loudness,
        max_concurrent=max_concurrent,
        drain_s=drain_s,
        registry=registry,
        advertise=advertise,
        insecure=insecure,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_ca=tls_ca,
        log_format=log_format,
        log_level=log_level,
        ready_fd=ready_fd,
        standby_fd=standby_fd,
    )
    raise typer.Exit(run(options))


def _engine_arguments(**engines: str | None) -> tuple[str, ...]:
    """The options that a server of our own is started with."""
    return tuple(part for name, value in engines.items() if value is not None for part in (f"--{name}", value))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"--sessions {text}: give whole numbers from 1 on, separated by commas")
    return numbers


def main() -> None:
    """Runs the command line. An error that the user can act on is one plain message, and exit code 2."""
    try:
        app()
    except AntiphonError as error:
        sys.stderr.write(f"antiphon: {error}\n")
        sys.exit(2)
