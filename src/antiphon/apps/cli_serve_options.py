"""The options of ``antiphon serve`` that no other command has, under the headings of ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from antiphon.apps.cli_options import BRAIN, CONFIGURATION, ENGINES, LIMITS, LISTENING, LOGS, WEBRTC, WORKERS

Host = Annotated[
    str | None, Option(help="The address; any but a loopback address needs a key.", rich_help_panel=LISTENING)
]
Port = Annotated[int | None, Option(help="The port; 0 takes a free one.", rich_help_panel=LISTENING)]
ApiKeys = Annotated[
    list[str] | None, Option(help="A key that clients must show; may be repeated.", rich_help_panel=LISTENING)
]
Insecure = Annotated[
    bool | None, Option("--insecure", help="Listen on any address without a key.", rich_help_panel=LISTENING)
]
AllowOrigins = Annotated[
    list[str] | None,
    Option(help="An origin whose web pages may connect; may be repeated.", rich_help_panel=LISTENING),
]
TlsCert = Annotated[
    Path | None, Option(help="The certificate chain (PEM), for https and wss.", rich_help_panel=LISTENING)
]
TlsKey = Annotated[Path | None, Option(help="The certificate's private key (PEM).", rich_help_panel=LISTENING)]
SelfSignedTls = Annotated[
    str | None,
    Option(help="Make a certificate, for phones on your network.", metavar="self-signed", rich_help_panel=LISTENING),
]
OpenBrowser = Annotated[
    bool | None, Option("--open-browser/--no-open-browser", help="Open the page.", rich_help_panel=LISTENING)
]

IceServers = Annotated[
    list[str] | None,
    Option(
        help="Helps WebRTC through firewalls; may be repeated.",
        metavar="stun:HOST:PORT|turn:USER:PASSWORD@HOST:PORT",
        rich_help_panel=WEBRTC,
    ),
]
WebrtcPorts = Annotated[
    str | None, Option(help="The UDP ports for WebRTC.", metavar="LOW-HIGH", rich_help_panel=WEBRTC)
]
WebrtcWorkers = Annotated[
    int | None, Option(help="Processes that carry the calls, one for each core.", rich_help_panel=WEBRTC)
]
NatOneToOne = Annotated[
    str | None,
    Option("--nat-1to1", help="The address by which clients reach this machine.", metavar="IP", rich_help_panel=WEBRTC),
]
RelayOnly = Annotated[
    bool | None, Option("--relay-only", help="Only by way of the TURN servers.", rich_help_panel=WEBRTC)
]
LivekitUrl = Annotated[
    str | None, Option(help="A LiveKit server with a room to join.", metavar="wss://HOST", rich_help_panel=WEBRTC)
]
LivekitToken = Annotated[str | None, Option(help="The access token for the room.", rich_help_panel=WEBRTC)]
LivekitIdentity = Annotated[
    str | None,
    Option(help="With whom to converse there; the first who can, else.", metavar="NAME", rich_help_panel=WEBRTC),
]

Speakers = Annotated[
    str | None,
    Option(
        help="Tell apart who speaks; 'antiphon voices' makes people known by name.",
        metavar="off|on|enrolled",
        rich_help_panel=ENGINES,
    ),
]
Enrolments = Annotated[
    Path | None,
    Option(help="The folder of enrolled voices.", metavar="DIR", rich_help_panel=ENGINES),
]

LeadWords = Annotated[
    int | None, Option(help="It writes no more on end while you speak.", metavar="N", rich_help_panel=BRAIN)
]
Thoughts = Annotated[bool | None, Option("--thoughts", help="Show clients what is private.", rich_help_panel=BRAIN)]

InProcess = Annotated[
    bool | None,
    Option("--in-process", help="In the server's own process, not in one beside it.", rich_help_panel=WORKERS),
]
TtsWorkers = Annotated[
    int | None, Option(help="How many processes speak; the second stands by.", rich_help_panel=WORKERS)
]
TtsSpare = Annotated[
    bool | None,
    Option(
        "--tts-spare/--no-tts-spare",
        help="Keep a process prepared that takes the place of the only one that speaks.",
        rich_help_panel=WORKERS,
    ),
]
WorkersElsewhere = Annotated[
    list[str] | None,
    Option(
        help="Workers that run elsewhere; may be repeated.",
        metavar="[STAGE=]HOST:PORT,...",
        rich_help_panel=WORKERS,
    ),
]
Registry = Annotated[
    str | None,
    Option(
        help="Where workers make themselves known.",
        metavar="redis://HOST:PORT/DB|dns://NAME:PORT",
        rich_help_panel=WORKERS,
    ),
]
WorkerCa = Annotated[
    Path | None, Option(help="Who signed the certificates of workers elsewhere (PEM).", rich_help_panel=WORKERS)
]
WorkerCert = Annotated[
    Path | None, Option(help="The certificate chain that they are shown (PEM).", rich_help_panel=WORKERS)
]
WorkerKey = Annotated[Path | None, Option(help="Its private key (PEM).", rich_help_panel=WORKERS)]

MaxSessions = Annotated[int | None, Option(help="Sessions at the same time.", rich_help_panel=LIMITS)]
MaxSessionS = Annotated[float | None, Option(help="How long a session may last.", rich_help_panel=LIMITS)]
IdleTimeoutS = Annotated[
    float | None, Option(help="How long a client may stay silent altogether.", rich_help_panel=LIMITS)
]
ResumeS = Annotated[
    float | None, Option(help="How long a session waits for a client that was lost.", rich_help_panel=LIMITS)
]
SpeechCacheMb = Annotated[
    int | None, Option(help="Memory for speech that is said again.", metavar="MB", rich_help_panel=LIMITS)
]

LogFormat = Annotated[str | None, Option(help="How log lines look.", metavar="auto|json|console", rich_help_panel=LOGS)]
LogLevel = Annotated[
    str | None,
    Option(help="The least important to show.", metavar="debug|info|warning|error", rich_help_panel=LOGS),
]
LogTranscripts = Annotated[bool | None, Option("--log-transcripts", help="Log what was said.", rich_help_panel=LOGS)]
RecordFolder = Annotated[
    Path | None, Option(help="A folder to record sessions into, for 'replay'.", rich_help_panel=LOGS)
]
SessionsFile = Annotated[
    Path | None,
    Option(help="A file to keep conversations in, so that clients can go on with them.", rich_help_panel=LOGS),
]
SessionsKeepDays = Annotated[
    float | None, Option(help="After so many days without a change they are deleted.", rich_help_panel=LOGS)
]
ClientRecords = Annotated[
    bool | None,
    Option(
        "--client-records/--no-client-records",
        help="Record a session, for its client, when that asks.",
        rich_help_panel=LOGS,
    ),
]

ConfigFile = Annotated[
    Path | None,
    Option(
        help="The file, instead of ./antiphon.yaml or the one in your configuration folder.",
        rich_help_panel=CONFIGURATION,
    ),
]
PrintConfig = Annotated[
    bool,
    Option(
        "--print-config",
        help="Print what is in effect and where each value came from, and exit.",
        rich_help_panel=CONFIGURATION,
    ),
]
ReadyFd = Annotated[
    int | None,
    Option(
        help="A file descriptor to write the server's URL to, with a newline, when it is ready.",
        rich_help_panel=CONFIGURATION,
    ),
]
