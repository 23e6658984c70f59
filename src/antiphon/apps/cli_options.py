"""Options that several commands have, and the headings that ``--help`` puts them under."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

LISTENING = "Where it listens"
WEBRTC = "WebRTC"
ENGINES = "Engines"
BRAIN = "A language model that listens"
WORKERS = "Where the engines run"
LIMITS = "Limits"
LOGS = "Logs and records"
CONFIGURATION = "Configuration"
SERVER = "Which server"

Vad = Annotated[str | None, Option(help="Tells speech from silence.", metavar="ENGINE", rich_help_panel=ENGINES)]
Asr = Annotated[str | None, Option(help="Recognizes speech.", metavar="ENGINE:MODEL", rich_help_panel=ENGINES)]
Llm = Annotated[
    list[str] | None,
    Option(
        help="Answers: an engine, or the URL of an OpenAI-compatible server; 'auto' looks for a local one. May be "
        "repeated; clients choose, and the first is the default.",
        metavar="ENGINE:MODEL|URL[#MODEL]",
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

AgentName = Annotated[
    str | None,
    Option(help="Who answers: a Python file with an Agent, or one of 'agents'.", metavar="FILE.py|NAME"),
]

Url = Annotated[
    str | None, Option(help="A server that runs; without it, one is started for the time.", rich_help_panel=SERVER)
]
ApiKey = Annotated[str | None, Option(help="The key that the server asks for.", rich_help_panel=SERVER)]
JsonFile = Annotated[Path | None, Option("--json", help="A file to write the figures to.", metavar="FILE")]


def engine_arguments(**engines: str | list[str] | None) -> tuple[str, ...]:
    """The options that a server of our own is started with."""
    given = [
        (f"--{name}", value)
        for name, values in engines.items()
        for value in ([values] if isinstance(values, str) else values or ())
    ]
    return tuple(part for option in given for part in option)
