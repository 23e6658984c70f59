"""The command ``antiphon serve``. As in ``apps.cli``, what it does is imported when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from antiphon.apps.cli_options import (
    BRAIN,
    CONFIGURATION,
    ENGINES,
    LIMITS,
    LISTENING,
    LOGS,
    WEBRTC,
    WORKERS,
    AgentName,
    Asr,
    Listening,
    Llm,
    Loudness,
    Model,
    SpeakTool,
    Tts,
    Vad,
    VoicePacks,
    WaitK,
)


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
    webrtc_workers: Annotated[
        int | None, Option(help="Processes that carry the calls, one for each core.", rich_help_panel=WEBRTC)
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
    speakers: Annotated[
        str | None,
        Option(
            help="Tell apart who speaks; 'antiphon voices' makes people known by name.",
            metavar="off|on|enrolled",
            rich_help_panel=ENGINES,
        ),
    ] = None,
    enrolments: Annotated[
        Path | None,
        Option(help="The folder of enrolled voices.", metavar="DIR", rich_help_panel=ENGINES),
    ] = None,
    listening: Listening = None,
    wait_k: WaitK = None,
    lead_words: Annotated[
        int | None, Option(help="It writes no more on end while you speak.", metavar="N", rich_help_panel=BRAIN)
    ] = None,
    speak_tool: SpeakTool = None,
    thoughts: Annotated[
        bool | None, Option("--thoughts", help="Show clients what is private.", rich_help_panel=BRAIN)
    ] = None,
    agent: AgentName = None,
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
    speech_cache_mb: Annotated[
        int | None, Option(help="Memory for speech that is said again.", metavar="MB", rich_help_panel=LIMITS)
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
    sessions: Annotated[
        Path | None,
        Option(help="A file to keep conversations in, so that clients can go on with them.", rich_help_panel=LOGS),
    ] = None,
    sessions_keep_days: Annotated[
        float | None, Option(help="After so many days without a change they are deleted.", rich_help_panel=LOGS)
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
    from antiphon.apps.config_sources import render, resolve

    beside = {"config", "print_config", "ready_fd"}
    options = {name: value for name, value in ctx.params.items() if name not in beside}
    resolved = resolve(options, os.environ, config, folder=Path(typer.get_app_dir("antiphon")))
    if print_config:
        typer.echo(render(resolved))
        return
    from antiphon.apps.serve import run

    raise typer.Exit(run(resolved.config, ready_fd))
