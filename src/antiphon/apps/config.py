"""What the server is set to: one name for each setting on the command line, in the environment and in the file.

``max_sessions`` of ``antiphon.yaml`` is ``ANTIPHON_MAX_SESSIONS`` and ``--max-sessions``; a key within a section has a
double underscore in the environment, ``ANTIPHON_SESSION__VOICE``. The command line goes before the environment, which
goes before the file.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from antiphon.core.barge_in import BargeInPolicy
from antiphon.core.settings import Detection, TurnSettings
from antiphon.errors import ConfigError
from antiphon.loudness import TARGET_LUFS
from antiphon.transport.livekit.address import is_room_server
from antiphon.transport.webrtc.network import IceServer, Ports

FILE_NAME = "antiphon.yaml"
ENVIRONMENT_PREFIX = "ANTIPHON_"
DEFAULT_ORIGIN = "default"

_ELSEWHERE = frozenset({"ANTIPHON_CONFIG", "ANTIPHON_MODELS"})
"""Variables with our prefix that are no settings."""

_SERVICE_LINK = re.compile(r"ANTIPHON_(SERVICE_|PORT_\d)")
"""Kubernetes sets variables of this form, and ANTIPHON_PORT=tcp://..., for a service that is called antiphon."""

_TURN = TurnSettings()

_QUIETEST_LUFS, _LOUDEST_LUFS = -40.0, -10.0


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnDetection(Section):
    """Who decides that the user's turn is over, unless the client says otherwise."""

    type: Literal["server_vad", "semantic_vad", "manual"] = "server_vad"
    """A fixed silence, a silence whose length depends on the words, or the client's own commit."""
    threshold: float = Field(default=_TURN.threshold, ge=0, le=1)
    """The probability of speech from which a sound counts as speech."""
    prefix_padding_ms: int = Field(default=_TURN.prefix_padding_ms, ge=0, le=5_000)
    """How much audio before the speech belongs to the turn."""
    silence_duration_ms: int = Field(default=_TURN.silence_duration_ms, ge=0, le=10_000)
    """The silence that ends a turn, for `server_vad`."""
    idle_timeout_ms: int | None = Field(default=_TURN.idle_timeout_ms, ge=1_000, le=600_000)
    """After so much silence the agent speaks up by itself, for `server_vad`."""
    eagerness: Literal["low", "medium", "high", "auto"] = _TURN.eagerness
    """How soon to answer, for `semantic_vad`."""
    create_response: bool = _TURN.create_response
    """Answer at the end of each turn."""
    interrupt_response: bool = _TURN.interrupt_response
    """Let speech interrupt a reply."""
    prepare_after_ms: int = Field(default=_TURN.prepare_after_ms, ge=0, le=10_000)
    """How much of the end-of-turn silence must have passed before a reply is prepared."""


class SessionDefaults(Section):
    """What a session begins with. A client's own settings go before these."""

    voice: str | None = None
    """The voice that speaks, by its name or as `engine:voice`; the first that is offered when it is not set."""
    instructions: str = ""
    """What the language model is told to be."""
    turn_detection: TurnDetection = TurnDetection()
    barge_in: BargeInPolicy = BargeInPolicy()
    """What to do with a reply while the user makes a sound over it."""

    def turn_settings(self) -> TurnSettings:
        """The turn-taking of these defaults as the core reads it."""
        fields = self.turn_detection.model_dump(exclude={"type"})
        return TurnSettings(detection=Detection(self.turn_detection.type), barge_in=self.barge_in, **fields)


class Config(Section):
    """Everything the server can be told. Raises pydantic's ValidationError; ``resolve`` makes plain words of it."""

    host: str = "127.0.0.1"
    """The address to listen on. Any but a loopback address needs an API key, or `insecure`."""
    port: int = Field(default=8080, ge=0, le=65_535)
    """The port to listen on; 0 takes a free one."""
    api_key: tuple[str, ...] = ()
    """A key that clients must show; several may be given."""
    insecure: bool = False
    """Listen on any address without a key."""
    allow_origin: tuple[str, ...] = ()
    """An origin, besides the server's own, whose web pages may connect; several may be given."""
    tls_cert: Path | None = None
    """The certificate chain (PEM) to serve TLS with."""
    tls_key: Path | None = None
    """The private key (PEM) of the certificate."""
    tls: Literal["self-signed"] | None = None
    """Serve TLS with a certificate that the server makes for itself, so that other devices may use a microphone."""
    open_browser: bool = True
    """Open the page in a browser, where there is a screen and a terminal that the server was started from."""

    ice_server: tuple[str, ...] = ()
    """A server that helps WebRTC through firewalls: `stun:HOST:PORT`, `turn:USER:PASSWORD@HOST:PORT`; several may be
    given."""
    webrtc_ports: str | None = None
    """The UDP ports for WebRTC, `LOW-HIGH`, one or two for each call; any that are free when it is not set."""
    nat_1to1: str | None = None
    """The address by which clients reach this machine for WebRTC, where a router translates it one to one."""
    relay_only: bool = False
    """Offer WebRTC no address of this machine, only those of the TURN servers."""

    livekit_url: str | None = None
    """A LiveKit server with a room to join at the start: `wss://HOST`. Further rooms are joined by request."""
    livekit_token: str | None = None
    """The access token for that room, which also says which room it is."""
    livekit_identity: str | None = None
    """The participant of that room to converse with; the first that has a microphone when it is not set."""

    vad: str = "silero"
    """The engine that tells speech from silence."""
    asr: str = "moonshine"
    """The recognizer."""
    llm: str = "auto"
    """The language model's engine, or the URL of an OpenAI-compatible server; `auto` looks for a local server."""
    model: str | None = None
    """The model to ask for at the server that `llm` names."""
    tts: str = "auto"
    """The synthesizer; `auto` offers every embedded voice."""
    voicepacks: Path | None = None
    """The folder of voice packs; `antiphon/voicepacks` in the platform's data folder when it is not set."""
    loudness: float | Literal["off"] = TARGET_LUFS
    """What every voice is brought to, in LUFS; `off` leaves each as loud as it is."""

    in_process: bool = False
    """Run the engines in the server's own process, instead of one beside it for each stage."""
    tts_workers: PositiveInt = 1
    """How many processes speak. With two, a reply goes on at once when one of them dies."""
    tts_spare: bool = True
    """With one, keep another prepared that loads its models when the one dies."""
    workers: tuple[str, ...] = ()
    """A worker that runs elsewhere, `STAGE=HOST:PORT`, or `HOST:PORT` asked for all stages; several may be given."""
    registry: str | None = None
    """Where workers that run elsewhere make themselves known: `redis://HOST:PORT/DB` or `dns://NAME:PORT`."""

    worker_ca: Path | None = None
    """The authority (PEM) that signed the certificates of workers elsewhere; with it they are reached by TLS."""
    worker_cert: Path | None = None
    """The certificate chain (PEM) that such workers are shown; with it, too, they are reached by TLS."""
    worker_key: Path | None = None
    """The private key (PEM) of that certificate."""

    max_sessions: PositiveInt = 200
    """Sessions at the same time; more are refused."""
    max_session_s: PositiveFloat = 3600.0
    """How long a session may last."""
    idle_timeout_s: PositiveFloat = 300.0
    """How long a session may stay without audio and events from its client."""
    resume_s: float = Field(default=60.0, ge=0, le=3600)
    """How long a session waits for a client whose connection was lost, with all that was said."""

    log_format: Literal["auto", "json", "console"] = "auto"
    """How log lines look; `auto` is `console` on a terminal and `json` elsewhere."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important log lines to show."""
    log_transcripts: bool = False
    """Log what was said. Off, no words of a conversation reach the log."""
    record: Path | None = None
    """A folder to record sessions into, for `antiphon replay`. Off, nothing of a session is kept."""

    client_records: bool = True
    """Keep a record of a session whose client asks for one, for itself, until some minutes after its end."""

    session: SessionDefaults = SessionDefaults()

    @field_validator("api_key", "allow_origin", "workers", "ice_server", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("loudness", mode="before")
    @classmethod
    def _lufs_or_off(cls, value: object) -> object:
        wanted = loudness_of(value)
        return "off" if wanted is None else wanted

    @model_validator(mode="after")
    def _closed_by_default(self) -> Config:
        if not self.api_key and not self.insecure and not is_loopback(self.host):
            raise ValueError(
                f"{self.host} can be reached from other machines: give --api-key KEY, or --insecure to let everybody in"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("TLS needs both --tls-cert and --tls-key")
        if self.tls is not None and self.tls_cert is not None:
            raise ValueError("--tls self-signed and --tls-cert exclude each other")
        return self

    @model_validator(mode="after")
    def _a_way_for_webrtc(self) -> Config:
        try:
            servers = [IceServer.parse(url) for url in self.ice_server]
            if self.webrtc_ports is not None:
                Ports.parse(self.webrtc_ports)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if self.nat_1to1 is not None and not is_address(self.nat_1to1):
            raise ValueError(f"--nat-1to1 {self.nat_1to1}: give an IP address")
        if self.relay_only and not any(server.relays for server in servers):
            raise ValueError("--relay-only needs a TURN server: --ice-server turn:USER:PASSWORD@HOST:PORT")
        return self

    @model_validator(mode="after")
    def _whole_pair_for_workers(self) -> Config:
        if (self.worker_cert is None) != (self.worker_key is None):
            raise ValueError("a certificate for workers needs both --worker-cert and --worker-key")
        if (self.worker_ca or self.worker_cert) and not (self.workers or self.registry):
            raise ValueError(
                "--worker-ca and --worker-cert are for workers elsewhere: give --workers or --registry too"
            )
        return self

    @model_validator(mode="after")
    def _a_room(self) -> Config:
        if (self.livekit_url is None) != (self.livekit_token is None):
            raise ValueError("A LiveKit room needs both --livekit-url and --livekit-token")
        if self.livekit_url is None and self.livekit_identity is not None:
            raise ValueError("--livekit-identity is of use only with --livekit-url and --livekit-token")
        if self.livekit_url is not None and not is_room_server(self.livekit_url):
            raise ValueError(f"--livekit-url {self.livekit_url}: give wss://HOST or ws://HOST:PORT")
        return self

    @model_validator(mode="after")
    def _one_place_for_engines(self) -> Config:
        places = {"--in-process": self.in_process, "--workers": self.workers, "--registry": self.registry}
        given = [option for option, value in places.items() if value]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other: they say where the engines run")
        return self


def loudness_of(value: object) -> float | None:
    """LUFS as people write them; None for "off", which YAML reads as false. Raises ValueError."""
    if value is False or value == "off":
        return None
    try:
        wanted = float(str(value))
    except ValueError:
        wanted = math.nan
    if not _QUIETEST_LUFS <= wanted <= _LOUDEST_LUFS:
        raise ValueError(f"give LUFS from {_QUIETEST_LUFS:.0f} to {_LOUDEST_LUFS:.0f}, or off")
    return wanted


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it came from, in words that its writer knows."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The configuration in effect. ``origins`` tells of each key that is not at its default where it was set."""

    config: Config
    origins: Mapping[KeyPath, str]


def resolve(
    options: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None, *, folder: Path | None = None
) -> Resolved:
    """Merges the command line's ``options`` (None is "not given"), the environment and a file into a configuration.

    ``file`` must exist where it is given, here or as ANTIPHON_CONFIG; otherwise ``antiphon.yaml`` of the current
    folder, else that of ``folder``, is read where there is one. Raises ConfigError.
    """
    if file is None and environment.get("ANTIPHON_CONFIG"):
        file = Path(environment["ANTIPHON_CONFIG"])
    given: dict[KeyPath, Given] = {}
    found = file or next((path for path in _usual_files(folder) if path.is_file()), None)
    if found is not None:
        given |= _from_file(found)
    given |= _from_environment(environment)
    given |= {(name,): Given(value, _option(name)) for name, value in options.items() if value not in (None, [], ())}
    try:
        config = Config.model_validate(_nested(given))
    except ValidationError as error:
        _explain(error, given)
    return Resolved(config, {path: entry.origin for path, entry in given.items()})


def _usual_files(folder: Path | None) -> Iterator[Path]:
    yield Path(FILE_NAME)
    if folder is not None:
        yield folder / FILE_NAME


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _from_file(path: Path) -> dict[KeyPath, Given]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, such as 'port: 8080'")
    return {key: Given(value, str(path)) for key, value in _leaves(content)}


def _leaves(tree: Mapping[Any, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Each leaf and its path. A key without a value says nothing."""
    for key, value in tree.items():
        path = (*above, str(key))
        if isinstance(value, dict):
            yield from _leaves(value, path)
        elif value is not None:
            yield path, value


def _from_environment(environment: Mapping[str, str]) -> dict[KeyPath, Given]:
    given: dict[KeyPath, Given] = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _ELSEWHERE or not value:
            continue
        if _SERVICE_LINK.match(name) or (name == "ANTIPHON_PORT" and value.startswith("tcp://")):
            continue
        path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        given[path] = Given(value, name)
    return given


def _nested(given: Mapping[KeyPath, Given]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, entry in given.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"{entry.origin}: {key} is both a value and a section")
        branch[path[-1]] = entry.value
    return tree


def _explain(error: ValidationError, given: Mapping[KeyPath, Given]) -> NoReturn:
    """Raises ConfigError with a line for each thing that is wrong."""
    lines: list[str] = []
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"])
        origin = next((entry.origin for key, entry in given.items() if key == path[: len(key)]), "")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            reason = f"unknown key {'.'.join(path)!r}{_nearest(path)}"
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            reason = f"{'.'.join(path)}: {reason}" if path else reason
        lines.append(f"{origin}: {reason}" if origin else reason)
    raise ConfigError("\n".join(lines)) from error


def _nearest(path: KeyPath) -> str:
    known = {".".join(key): key for key in known_keys()}
    close = difflib.get_close_matches(".".join(path), known, n=1, cutoff=0.6)
    if not close:
        close = [name for name, key in known.items() if difflib.get_close_matches(path[-1], key[-1:], cutoff=0.8)]
    return f": did you mean {close[0]!r}?" if close else ""


def known_keys() -> list[KeyPath]:
    """Every key that a file may hold, in the order of the documentation."""
    return [path for path, _ in settings_of(Config())]


def settings_of(config: Config) -> list[tuple[KeyPath, Any]]:
    """Each key and its value, in plain types."""
    return list(_every(config.model_dump(mode="json")))


def _every(tree: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _every(value, (*above, key))
        else:
            yield (*above, key), value


def render(resolved: Resolved) -> str:
    """The configuration in effect as a file would hold it, with where each value came from. Keys are not shown."""
    lines: list[str] = []
    section: KeyPath = ()
    for path, value in settings_of(resolved.config):
        for depth, key in enumerate(path[:-1]):
            if section[: depth + 1] != path[: depth + 1]:
                lines.append(f"{'  ' * depth}{key}:")
        section = path[:-1]
        shown = ["***" for _ in value] if path == ("api_key",) else value
        if path == ("livekit_token",) and value is not None:
            shown = "***"
        setting = f"{'  ' * len(section)}{path[-1]}: {json.dumps(shown, ensure_ascii=False)}"
        lines.append(f"{setting:<44} # {resolved.origins.get(path, DEFAULT_ORIGIN)}")
    return "\n".join(lines)
