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
Listening = Annotated[
    bool | None, Option("--listening", help="The model reads the words as they are spoken.", rich_help_panel=BRAIN)
]
WaitK = Annotated[int | None, Option(help="So many words it reads before it writes one.", rich_help_panel=BRAIN)]
SpeakTool = Annotated[
    bool | None,
    Option("--speak-tool", help="What it says it says by a tool; all else is private.", rich_help_panel=BRAIN),
]

Url = Annotated[
    str | None, Option(help="A server that runs; without it, one is started for the time.", rich_help_panel=SERVER)
]
ApiKey = Annotated[str | None, Option(help="The key that the server asks for.", rich_help_panel=SERVER)]
JsonFile = Annotated[Path | None, Option("--json", help="A file to write the figures to.", metavar="FILE")]


def listening_arguments(
    *, listening: bool | None = None, wait_k: int | None = None, speak_tool: bool | None = None, thoughts: bool = False
) -> tuple[str, ...]:
    """The same for a language model that listens."""
    flags = {"--listening": listening, "--speak-tool": speak_tool, "--thoughts": thoughts}
    chosen = tuple(flag for flag, wanted in flags.items() if wanted)
    return chosen if wait_k is None else (*chosen, "--wait-k", str(wait_k))


def engine_arguments(**engines: str | list[str] | None) -> tuple[str, ...]:
    """The options that a server of our own is started with."""
    given = [
        (f"--{name}", value)
        for name, values in engines.items()
        for value in ([values] if isinstance(values, str) else values or ())
    ]
    return tuple(part for option in given for part in option)
