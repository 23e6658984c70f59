"""What the server is set to: one name for each setting on the command line, in the environment and in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from antiphon.apps.config_agents import AgentSection
from antiphon.apps.config_session import Context, Section, SessionDefaults
from antiphon.apps.config_values import is_address, is_loopback, loudness_of
from antiphon.core.settings import Answers, ListeningSettings, TurnSettings
from antiphon.core.waitk import DEFAULT_K, DEFAULT_LEAD_WORDS
from antiphon.errors import ConfigError
from antiphon.loudness import TARGET_LUFS
from antiphon.transport.livekit.address import is_room_server
from antiphon.transport.webrtc.network import IceServer, Ports


class Config(Section):
    """Everything the server can be told. Raises ValidationError, of which ``config_sources`` makes plain words."""

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
    webrtc_workers: int = Field(default=0, ge=0, le=64)
    """How many processes carry the calls over WebRTC, one for each core; with 0 the server itself carries them."""
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
    """The language model's engine, or the URL of an OpenAI-compatible server, with `#MODEL` behind it where it has
    several; `auto` looks for a local server. Of several, given as a list or with commas between, clients choose, and
    the first is the default."""
    model: str | None = None
    """The model to ask for at the server that `llm` names first."""
    tts: str = "auto"
    """The synthesizer; `auto` offers every embedded voice."""
    voicepacks: Path | None = None
    """The folder of voice packs; `antiphon/voicepacks` in the platform's data folder when it is not set."""
    loudness: float | Literal["off"] = TARGET_LUFS
    """What every voice is brought to, in LUFS; `off` leaves each as loud as it is."""
    speakers: Literal["off", "on", "enrolled"] = "off"
    """Tell apart who speaks to a session: by name those enrolled with `antiphon voices`, by number the others;
    `enrolled` leaves the others unnamed."""
    enrolments: Path | None = None
    """The folder of enrolled voices; `antiphon/speakers` in the platform's data folder when it is not set."""

    speech_cache_mb: int = Field(default=32, ge=0, le=4096)
    """Memory for the audio of greetings, fillers, and openings of answers that were said before; 0 keeps none."""

    listening: bool = False
    """Have the language model read the words as they are spoken, and speak when it wants to, not when a turn ends."""
    wait_k: PositiveInt = DEFAULT_K
    """A listening model may write its first word when it has read so many, and each further one a word later."""
    lead_words: PositiveInt = DEFAULT_LEAD_WORDS
    """While the user speaks a listening model writes no more than so many words on end."""
    speak_tool: bool = False
    """Of what a listening model writes only what it says by the tool `speak` is public."""
    thoughts: bool = False
    """Show what such a model keeps private to clients that ask for `events=antiphon`."""

    in_process: bool = False
    """Run the engines in the server's own process, instead of one beside it for each stage."""
    tts_workers: PositiveInt = 1
    """How many processes speak. With two, a reply goes on at once when one of them dies."""
    tts_spare: bool = True
    """With one, keep another prepared that loads its models when the one dies."""
    workers: tuple[str, ...] = ()
    """Workers that run elsewhere, with commas between: `STAGE=HOST:PORT`, or `HOST:PORT`, asked for all stages."""
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

    sessions: Path | None = None
    """A file (SQLite) to keep conversations in, so that clients can go on with them. Off, nothing of one is kept."""
    sessions_keep_days: PositiveFloat = 30.0
    """After so many days without a change a conversation in that file is deleted."""
    client_records: bool = True
    """Keep a record of a session whose client asks for one, for itself, until some minutes after its end."""

    agent: str | None = None
    """Who answers whoever names none: a Python file that holds an `Agent`, or the name of one of `agents`."""
    agents: tuple[AgentSection, ...] = ()
    """The agents of the server, a list that [Agents](AGENTS.md) describes. The first is the default."""

    session: SessionDefaults = SessionDefaults()
    context: Context = Context()
    """What the language model is given of a long conversation."""

    def turn_settings(self) -> TurnSettings:
        """The turn-taking that sessions begin with, as the core reads it."""
        answers = Answers.LISTENING if self.listening else Answers.TURN
        return replace(self.session.turn_settings(), answers=answers)

    def listening_settings(self) -> ListeningSettings:
        return ListeningSettings(
            self.wait_k, self.lead_words, self.speak_tool, self.thoughts, self.context.listening_words
        )

    @field_validator("api_key", "allow_origin", "workers", "ice_server", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("workers", mode="after")
    @classmethod
    def _each_address(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(part.strip() for several in value for part in several.split(",") if part.strip())

    @field_validator("llm", mode="before")
    @classmethod
    def _joined(cls, value: object) -> object:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("speakers", mode="before")
    @classmethod
    def _as_yaml_reads_it(cls, value: object) -> object:
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value

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
    def _who_listens(self) -> Config:
        if self.speak_tool and not self.listening:
            raise ValueError("--speak-tool is for a model that listens: give --listening too")
        if self.thoughts and not self.speak_tool:
            raise ValueError("--thoughts shows what a model does not say: give --listening and --speak-tool too")
        return self

    @model_validator(mode="after")
    def _a_way_for_webrtc(self) -> Config:
        try:
            servers = [IceServer.parse(url) for url in self.ice_server]
            if self.webrtc_ports is not None:
                Ports.parse(self.webrtc_ports).split(max(1, self.webrtc_workers))
        except ConfigError as error:
            raise ValueError(str(error)) from None
        if self.nat_1to1 is not None and not is_address(self.nat_1to1):
            raise ValueError(f"--nat-1to1 {self.nat_1to1}: give an IP address")
        if self.relay_only and not any(server.relays for server in servers):
            raise ValueError("--relay-only needs a TURN server: --ice-server turn:USER:PASSWORD@HOST:PORT")
        return self

    @model_validator(mode="after")
    def _engines_for_all_processes(self) -> Config:
        if self.webrtc_workers and self.in_process:
            raise ValueError(
                "--webrtc-workers and --in-process exclude each other: the engines must be in processes of their own, "
                "where those that carry the calls can share them"
            )
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
