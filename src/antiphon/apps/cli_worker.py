"""The command ``antiphon worker``. As in ``apps.cli``, what it does is imported when it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from antiphon.apps.cli_options import LIMITS, LISTENING, LOGS, Loudness, VoicePacks


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
    from antiphon.apps.names import names_in
    from antiphon.apps.worker import WorkerOptions, run

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
