"""What ``antiphon serve`` tells the person who started it: where it listens, what answers, how to try it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import segno
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon import __version__
from antiphon.engines.base import Engine
from antiphon.engines.suite import Suite

CLIENT = """\
from openai import OpenAI

hello = {{"type": "message", "role": "user", "content": [{{"type": "input_text", "text": "Hello!"}}]}}
with OpenAI(base_url="{url}/v1", api_key="{key}").realtime.connect(model="antiphon") as agent:
    agent.conversation.item.create(item=hello)
    agent.response.create(response={{"output_modalities": ["text"]}})
    print(next(event.text for event in agent if event.type == "response.output_text.done"))
"""
"""A client in five lines; it needs the package openai[realtime]."""


def print_loaded(engine: Engine, took_s: float) -> None:
    """Tells that an engine is ready."""
    _console().print(f"[dim]loaded[/] {escape(engine.name)} [dim]in {took_s:.1f} s[/]")


def print_welcome(
    url: str,
    suite: Suite,
    *,
    needs_key: bool,
    elsewhere: Sequence[str] = (),
    agents: Sequence[str] = (),
    certificate: Path | None = None,
) -> None:
    """Tells that the server is ready; ``elsewhere`` is where other devices find it. The first of ``agents`` begins.

    ``certificate`` is one that nobody trusts unless told to.
    """
    console = _console()
    command = _command()
    if certificate is not None:
        command = f"SSL_CERT_FILE={shlex.quote(str(certificate))} {command}"
    options = f"--url {url} --api-key KEY" if needs_key else f"--url {url}"
    console.print(f"\n[bold]Antiphon {__version__}[/] listens on [bold cyan]{url}[/]\n")
    _print_stages(console, suite)
    if agents:
        others = f"; others: {', '.join(agents[1:])}" if len(agents) > 1 else ""
        console.print(f"\nThe agent is [bold]{agents[0]}[/]{others}.")
    console.print(f"\nTalk to it: open [bold cyan]{url}[/] in a browser.")
    if elsewhere:
        _print_elsewhere(console, elsewhere)
    console.print("\nOr speak with it from another terminal:\n")
    console.print(f"  {command} talk {options}", soft_wrap=True)
    console.print("\nSee that it works, and how fast:\n")
    console.print(f"  {command} selftest {options}", soft_wrap=True)
    console.print("\nUse any client of the OpenAI Realtime API:\n")
    for line in CLIENT.format(url=url, key="KEY" if needs_key else "none").splitlines():
        console.print(f"  {escape(line)}".rstrip(), soft_wrap=True)
    console.print("\nCtrl-C stops it.\n")


def _print_elsewhere(console: Console, urls: Sequence[str]) -> None:
    """The addresses for phones and other computers, the first also as a code to be photographed."""
    console.print("From another device on your network: " + " or ".join(f"[bold cyan]{url}[/]" for url in urls))
    if not all(url.startswith("https:") for url in urls):
        console.print("Browsers give a microphone to https alone: start with [bold]--tls self-signed[/] for that.")
        return
    console.print("Its browser will warn of a certificate that nobody but this server vouches for.")
    if console.is_terminal:
        console.print()
        segno.make_qr(urls[0]).terminal(out=sys.stdout, compact=True, border=2)


def _print_stages(console: Console, suite: Suite) -> None:
    stages = (
        ("hears", suite.vad),
        ("writes down", suite.recognizer),
        ("answers", suite.brain),
        ("speaks", suite.synthesizer),
    )
    if not console.is_terminal:
        for stage, engine in stages:
            console.print(escape(f"  {stage}: {engine.name} ({engine.description})"))
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for stage, engine in stages:
        table.add_row(f"  {stage}", f"[bold]{escape(engine.name)}[/]", escape(engine.description))
    console.print(table)


def _console() -> Console:
    """Colours only on a terminal; elsewhere plain lines of whatever length."""
    console = Console(file=sys.stdout, highlight=False)
    return console if console.is_terminal else Console(file=sys.stdout, highlight=False, width=1000, no_color=True)


def _command() -> str:
    """How to call this program from a shell in the same folder."""
    if shutil.which("antiphon"):
        return "antiphon"
    script = Path(sys.executable).with_name("antiphon")
    if not script.exists():
        return f"{sys.executable} -m antiphon"
    below = os.path.relpath(script)
    return below if not below.startswith("..") else str(script)
