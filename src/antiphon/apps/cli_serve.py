"""The command ``antiphon serve``. As in ``apps.cli``, what it does is imported when it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from antiphon.apps import cli_serve_options as own
from antiphon.apps.cli_options import (
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
    host: own.Host = None,
    port: own.Port = None,
    api_key: own.ApiKeys = None,
    insecure: own.Insecure = None,
    allow_origin: own.AllowOrigins = None,
    tls_cert: own.TlsCert = None,
    tls_key: own.TlsKey = None,
    tls: own.SelfSignedTls = None,
    open_browser: own.OpenBrowser = None,
    ice_server: own.IceServers = None,
    webrtc_ports: own.WebrtcPorts = None,
    webrtc_workers: own.WebrtcWorkers = None,
    nat_1to1: own.NatOneToOne = None,
    relay_only: own.RelayOnly = None,
    livekit_url: own.LivekitUrl = None,
    livekit_token: own.LivekitToken = None,
    livekit_identity: own.LivekitIdentity = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
    voicepacks: VoicePacks = None,
    loudness: Loudness = None,
    speakers: own.Speakers = None,
    enrolments: own.Enrolments = None,
    listening: Listening = None,
    wait_k: WaitK = None,
    lead_words: own.LeadWords = None,
    speak_tool: SpeakTool = None,
    thoughts: own.Thoughts = None,
    agent: AgentName = None,
    in_process: own.InProcess = None,
    tts_workers: own.TtsWorkers = None,
    tts_spare: own.TtsSpare = None,
    workers: own.WorkersElsewhere = None,
    registry: own.Registry = None,
    worker_ca: own.WorkerCa = None,
    worker_cert: own.WorkerCert = None,
    worker_key: own.WorkerKey = None,
    max_sessions: own.MaxSessions = None,
    max_session_s: own.MaxSessionS = None,
    idle_timeout_s: own.IdleTimeoutS = None,
    resume_s: own.ResumeS = None,
    speech_cache_mb: own.SpeechCacheMb = None,
    log_format: own.LogFormat = None,
    log_level: own.LogLevel = None,
    log_transcripts: own.LogTranscripts = None,
    record: own.RecordFolder = None,
    sessions: own.SessionsFile = None,
    sessions_keep_days: own.SessionsKeepDays = None,
    client_records: own.ClientRecords = None,
    config: own.ConfigFile = None,
    print_config: own.PrintConfig = False,
    ready_fd: own.ReadyFd = None,
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
