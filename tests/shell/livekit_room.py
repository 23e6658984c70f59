"""A LiveKit room without a server: the SDK's own media and event emitter, and everything between participants faked.

Sources, tracks, streams and frames are the real ones, which work without a server. What is said into one end of a
track therefore comes out of the other in real time, resampled by the SDK.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from livekit import rtc

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.transport.livekit import sdk
from antiphon.transport.livekit.events import TOPIC

PATIENCE_S = 20.0
AGENT = "agent-1"


@dataclass
class Packet:
    data: bytes
    participant: Any
    topic: str | None


class Publication:
    """Of a guest's microphone. It has no track until somebody subscribes."""

    def __init__(self, venue: Venue, guest: Guest, sid: str, source: int) -> None:
        self.sid = sid
        self.kind: int = rtc.TrackKind.KIND_AUDIO
        self.source = source
        self.track: Any = None
        self._venue = venue
        self._guest = guest

    def set_subscribed(self, subscribed: bool) -> None:
        assert subscribed
        asyncio.get_running_loop().call_soon(self._subscribe)

    def _subscribe(self) -> None:
        if self.track is None:
            self.track = self._guest.microphone_track
            self._venue.tell("track_subscribed", self.track, self, self._guest)


class Guest:
    """Somebody in the room. ``events`` is what the agent sent to it, ``streams`` are its text streams."""

    def __init__(self, venue: Venue, identity: str, kind: int) -> None:
        self.identity = identity
        self.kind = kind
        self.track_publications: dict[str, Publication] = {}
        self.events: list[dict[str, Any]] = []
        self._venue = venue
        self._source = rtc.AudioSource(MOUTH_RATE_HZ, 1, queue_size_ms=10_000)
        self.microphone_track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)

    def publish(self, source: int = rtc.TrackSource.SOURCE_MICROPHONE) -> None:
        sid = f"TR_{self.identity}{len(self.track_publications)}"
        self.track_publications[sid] = Publication(self._venue, self, sid, source)
        self._venue.tell("track_published", self.track_publications[sid], self)

    async def say(self, pcm: bytes) -> None:
        """Mono s16 at 48 kHz; the SDK's thread keeps the pace. A breath goes before it, as with all people."""
        pcm = bytes(MOUTH_RATE_HZ * 2 * 3 // 10) + pcm
        await self._source.capture_frame(rtc.AudioFrame(pcm, MOUTH_RATE_HZ, 1, len(pcm) // 2))

    def send(self, event: dict[str, Any], topic: str = TOPIC) -> None:
        self._venue.tell("data_received", Packet(orjson.dumps(event), self, topic))

    def send_long(self, event: dict[str, Any]) -> Reader:
        reader = Reader(orjson.dumps(event).decode())
        self._venue.room_now.stream_handlers[TOPIC](reader, self.identity)
        return reader

    async def until(self, kind: str, since: int = 0) -> dict[str, Any]:
        event: dict[str, Any] = await self._venue.until(
            lambda: next((event for event in self.events[since:] if event["type"] == kind), None),
            lambda: f"{kind} among {[event['type'] for event in self.events[since:]]}",
        )
        return event


class Reader:
    def __init__(self, text: str | None) -> None:
        """``text``: None for a stream that never ends."""
        self._text = text
        self.closed = False

    async def read_all(self) -> str:
        if self._text is None:
            await asyncio.Event().wait()
        assert self._text is not None
        return self._text

    def close(self) -> None:
        self.closed = True


@dataclass
class Caption:
    """A text stream of the agent."""

    topic: str
    attributes: dict[str, str]
    sender: str | None
    text: str = ""
    closed: bool = False
    venue: Venue = field(kw_only=True)

    async def write(self, text: str) -> None:
        if self.venue.broken:
            raise rtc.StreamError("the room is gone")
        self.text += text
        self.venue.stir()

    async def aclose(self, *, reason: str = "", attributes: dict[str, str] | None = None) -> None:
        self.attributes |= attributes or {}
        self.closed = True
        self.venue.stir()


class OwnPublication:
    sid = "TR_agent"


class Me:
    """The agent as a participant."""

    identity = AGENT

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def publish_track(self, track: Any, options: Any) -> Any:
        assert options.source == rtc.TrackSource.SOURCE_MICROPHONE
        self._venue.agent_track = track
        return OwnPublication()

    async def publish_data(
        self, payload: bytes | str, *, reliable: bool = True, destination_identities: list[str], topic: str = ""
    ) -> None:
        if self._venue.broken:
            raise rtc.participant.PublishDataError("the room is gone")
        assert reliable and topic == TOPIC and len(payload) <= 15_000
        self._deliver(payload, destination_identities)

    async def send_text(self, text: str, *, destination_identities: list[str] | None = None, topic: str = "") -> object:
        assert topic == TOPIC and destination_identities is not None and len(text) > 15_000
        self._deliver(text, destination_identities)
        return None

    def _deliver(self, payload: bytes | str, to: list[str]) -> None:
        for identity in to:
            self._venue.guests[identity].events.append(orjson.loads(payload))
        self._venue.stir()

    async def stream_text(
        self, *, topic: str = "", attributes: dict[str, str] | None = None, sender_identity: str | None = None
    ) -> Caption:
        caption = Caption(topic, dict(attributes or {}), sender_identity, venue=self._venue)
        self._venue.captions.append(caption)
        return caption


class FakeRoom(rtc.EventEmitter[str]):
    name = "lobby"

    def __init__(self, venue: Venue) -> None:
        super().__init__()
        self._venue = venue
        self._connected = False
        self.local_participant = Me(venue)
        self.stream_handlers: dict[str, Callable[[Any, str], None]] = {}

    @property
    def remote_participants(self) -> Mapping[str, Guest]:
        return self._venue.guests

    def register_text_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        self.stream_handlers[topic] = handler

    async def connect(self, url: str, token: str, options: Any) -> None:
        if token != self._venue.token:
            raise rtc.ConnectError("invalid token")
        assert options.auto_subscribe is False
        self._connected = True
        self._venue.connections += 1

    async def disconnect(self) -> None:
        if not self._connected:
            return
        self._connected = False
        self._venue.connections -= 1
        self._venue.stir()
        if self._venue.hangs_at_leaving:
            await asyncio.Event().wait()


class Venue(sdk.LiveKit):
    """Implements ``Sdk``: one room, and who is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.token = "let me in"
        self.guests: dict[str, Guest] = {}
        self.captions: list[Caption] = []
        self.connections = 0
        self.broken = False
        self.hangs_at_leaving = False
        self.agent_track: Any = None
        self._changed: list[asyncio.Event] = []
        self._room: FakeRoom | None = None

    @property
    def room_now(self) -> FakeRoom:
        assert self._room is not None
        return self._room

    def room(self) -> sdk.Room:
        self._room = FakeRoom(self)
        return self._room

    def tell(self, event: str, *values: Any) -> None:
        if self._room is not None:
            self._room.emit(event, *values)
        self.stir()

    def enter(self, identity: str, kind: int = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD) -> Guest:
        guest = self.guests[identity] = Guest(self, identity, kind)
        self.tell("participant_connected", guest)
        return guest

    def leave(self, identity: str) -> None:
        self.tell("participant_disconnected", self.guests.pop(identity))

    def stir(self) -> None:
        for event in self._changed:
            event.set()

    async def until(self, found: Callable[[], Any], what: Callable[[], str] = str) -> Any:
        """What ``found`` gives when that is something."""
        changed = asyncio.Event()
        self._changed.append(changed)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not (value := found()):
                    changed.clear()
                    await changed.wait()
                return value
        except TimeoutError:
            raise AssertionError(f"not in time: {what()}") from None
        finally:
            self._changed.remove(changed)
