"""LiveKit's SDK, as far as it is used here: what is asked of it, and the real one.

The Protocols name every member that is used and no other. A test holds them against the installed SDK.
"""

from __future__ import annotations

import importlib.util
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from antiphon.audio import EAR_RATE_HZ, FRAME_MS, MOUTH_RATE_HZ

if TYPE_CHECKING:
    from livekit import rtc

CONNECT_TIMEOUT_S = 5.0
"""For each of the four attempts that the SDK makes to reach a server."""

UNHEARD_FRAMES = 50
"""A second of the user's audio may wait while the loop stands still; the oldest is dropped then."""


class Publication(Protocol):
    """Of a track of somebody else."""

    @property
    def sid(self) -> str: ...

    @property
    def kind(self) -> int: ...

    @property
    def source(self) -> int: ...

    @property
    def track(self) -> Any: ...

    def set_subscribed(self, subscribed: bool) -> None: ...


class RemoteParticipant(Protocol):
    @property
    def identity(self) -> str: ...

    @property
    def kind(self) -> int: ...

    @property
    def track_publications(self) -> Mapping[str, Publication]: ...


class TextWriter(Protocol):
    async def write(self, text: str) -> None: ...

    async def aclose(self, *, reason: str = "", attributes: dict[str, str] | None = None) -> None: ...


class TextReader(Protocol):
    async def read_all(self) -> str: ...

    def close(self) -> None: ...


class LocalPublication(Protocol):
    @property
    def sid(self) -> str: ...


class LocalParticipant(Protocol):
    @property
    def identity(self) -> str: ...

    async def publish_track(self, track: Any, options: Any) -> LocalPublication: ...

    async def publish_data(
        self, payload: bytes | str, *, reliable: bool = True, destination_identities: list[str], topic: str = ""
    ) -> None: ...

    async def send_text(
        self, text: str, *, destination_identities: list[str] | None = None, topic: str = ""
    ) -> object: ...

    async def stream_text(
        self, *, topic: str = "", attributes: dict[str, str] | None = None, sender_identity: str | None = None
    ) -> TextWriter: ...


class DataPacket(Protocol):
    data: bytes
    participant: Any
    topic: str | None


class Room(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def local_participant(self) -> LocalParticipant: ...

    @property
    def remote_participants(self) -> Mapping[str, RemoteParticipant]: ...

    def on(self, event: Any, callback: Callable[..., None]) -> Any: ...

    def register_text_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None: ...

    async def connect(self, url: str, token: str, options: Any) -> None: ...

    async def disconnect(self) -> None: ...


ROOM_EVENTS = (
    "participant_connected",
    "participant_disconnected",
    "track_published",
    "track_unpublished",
    "track_subscribed",
    "track_unsubscribed",
    "reconnecting",
    "reconnected",
    "disconnected",
    "data_received",
)
"""Those that are listened to."""


class Source(Protocol):
    """Where our audio goes in."""

    async def capture_frame(self, frame: Any) -> None: ...

    def clear_queue(self) -> None: ...

    async def aclose(self) -> None: ...


class FrameEvent(Protocol):
    @property
    def frame(self) -> Any: ...


class Stream(Protocol):
    """Where the user's audio comes out."""

    def __aiter__(self) -> AsyncIterator[FrameEvent]: ...

    async def aclose(self) -> None: ...


class Sdk(Protocol):
    """What makes all these."""

    def room(self) -> Room: ...

    async def connect(self, room: Room, url: str, token: str, max_message_bytes: int) -> None:
        """Joins, hearing nobody at first. Raises one of ``failures``."""
        ...

    async def publish(self, room: Room, track: Any) -> LocalPublication: ...

    def source(self, queue_ms: int) -> Source: ...

    def track(self, source: Source) -> Any: ...

    def frame(self, pcm: bytes) -> Any: ...

    def stream(self, track: Any) -> Stream: ...

    def is_voice(self, publication: Publication) -> bool: ...

    def is_person(self, participant: RemoteParticipant) -> bool: ...

    @property
    def failures(self) -> tuple[type[Exception], ...]:
        """What its methods raise when a server or a network fails them."""
        ...


def is_installed() -> bool:
    try:
        return importlib.util.find_spec("livekit.rtc") is not None
    except ModuleNotFoundError:
        return False


class LiveKit:
    """Implements ``Sdk`` with the real one. Raises ModuleNotFoundError where that is not installed."""

    def __init__(self) -> None:
        from livekit import rtc
        from livekit.rtc import participant

        self._rtc = rtc
        self.failures: tuple[type[Exception], ...] = (
            rtc.ConnectError,
            rtc.StreamError,
            participant.PublishDataError,
            participant.PublishTrackError,
        )

    def room(self) -> Room:
        return self._rtc.Room()

    async def connect(self, room: Room, url: str, token: str, max_message_bytes: int) -> None:
        options = self._rtc.RoomOptions(
            auto_subscribe=False,
            connect_timeout=CONNECT_TIMEOUT_S,
            data_stream=self._rtc.DataStreamOptions(max_payload_byte_length=max_message_bytes),
        )
        await room.connect(url, token, options)

    async def publish(self, room: Room, track: Any) -> LocalPublication:
        options = self._rtc.TrackPublishOptions(source=self._rtc.TrackSource.SOURCE_MICROPHONE)
        return await room.local_participant.publish_track(track, options)

    def source(self, queue_ms: int) -> rtc.AudioSource:
        return self._rtc.AudioSource(MOUTH_RATE_HZ, 1, queue_size_ms=queue_ms)

    def track(self, source: Source) -> Any:
        assert isinstance(source, self._rtc.AudioSource)
        return self._rtc.LocalAudioTrack.create_audio_track("agent", source)

    def frame(self, pcm: bytes) -> Any:
        return self._rtc.AudioFrame(pcm, MOUTH_RATE_HZ, 1, len(pcm) // 2)

    def stream(self, track: Any) -> Stream:
        return self._rtc.AudioStream.from_track(
            track=track, capacity=UNHEARD_FRAMES, sample_rate=EAR_RATE_HZ, num_channels=1, frame_size_ms=FRAME_MS
        )

    def is_voice(self, publication: Publication) -> bool:
        """A microphone, or a track of which its publisher does not say what it is; not the sound of a shared screen."""
        sources: Sequence[int] = (self._rtc.TrackSource.SOURCE_MICROPHONE, self._rtc.TrackSource.SOURCE_UNKNOWN)
        return publication.kind == self._rtc.TrackKind.KIND_AUDIO and publication.source in sources

    def is_person(self, participant: RemoteParticipant) -> bool:
        """Neither another agent, with which ours would converse for ever, nor a recorder."""
        kinds = self._rtc.ParticipantKind
        return participant.kind not in (kinds.PARTICIPANT_KIND_AGENT, kinds.PARTICIPANT_KIND_EGRESS)
