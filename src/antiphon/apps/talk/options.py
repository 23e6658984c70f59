"""What the user of ``antiphon talk`` may ask for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.apps.output_file import check_folder
from antiphon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TalkOptions:
    """``server_arguments`` go to the server that is started where no ``url`` is given."""

    url: str | None = None
    api_key: str | None = None
    input_file: Path | None = None
    further_files: tuple[Path, ...] = ()
    """Spoken after ``input_file``, each after a pause."""
    output_file: Path | None = None
    fast: bool = False
    text: bool = False
    list_devices: bool = False
    input_device: str | None = None
    output_device: str | None = None
    cancel_echo: bool = True
    voice: str | None = None
    instructions: str | None = None
    agent: str | None = None
    """Which of the agents of the server at ``url`` is to answer."""
    conversation: str | None = None
    """The id of the one to go on with."""
    sessions: Path | None = None
    """Where the server that is started keeps it."""
    log: Path | None = None
    """Where that server's log is written."""
    thoughts: bool = False
    """Show what a listening brain thinks, where the server tells it."""
    trace: bool = False
    """Show who does what, instead of captions."""
    server_arguments: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises ConfigError for what cannot go together."""
        if self.text and self.input_file is not None:
            raise ConfigError("--text and --in are two ways to speak: give one of them")
        if self.fast and (self.input_file is None or self.url is not None):
            raise ConfigError("--fast needs --in, and no --url: it holds the conversation itself, on virtual time")
        if self.fast and (self.conversation is not None or self.sessions is not None):
            raise ConfigError("--conversation and --sessions do not go with --fast, which keeps no conversations")
        if self.log is not None and (self.url is not None or self.fast):
            raise ConfigError("--log is for a server that is started here; with --fast the log is on standard error")
        if self.url is not None and self.sessions is not None:
            raise ConfigError("--sessions is for a server that is started here; the one at --url decides for itself")
        if self.output_file is not None and self.input_file is None and not self.text:
            raise ConfigError("--out needs --in or --text")
        check_folder("--out", self.output_file)

    def again(self, conversation: str) -> str:
        """The command that goes on with a conversation that was kept, by the same engines and agents."""
        where = () if self.url is None else ("--url", self.url)
        engines = () if self.url is not None or self.trace else self.server_arguments
        kept = () if self.sessions is None else ("--sessions", str(self.sessions))
        return shlex.join(["antiphon", "talk", *where, *engines, *kept, "--conversation", conversation])

    def session(self, *, audio: bool) -> dict[str, Any]:
        """The session to ask the server for: captions of the user's words, and what was asked for; spoken or not."""
        sound: dict[str, Any] = {"input": {"transcription": {"model": "default"}}}
        if self.voice is not None:
            sound["output"] = {"voice": self.voice}
        session: dict[str, Any] = {
            "type": "realtime",
            "audio": sound,
            "output_modalities": ["audio"] if audio else ["text"],
        }
        if self.instructions is not None:
            session["instructions"] = self.instructions
        if self.agent is not None:
            session["antiphon"] = {"agent": self.agent}
        return session
