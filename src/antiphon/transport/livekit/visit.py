"""The agent's stay in one room: whom it hears there, and the conversations that it has."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Any

import structlog
from aiohttp import WSCloseCode

from antiphon.transport.connection import Connection
from antiphon.transport.gateway import Gateway, Place
from antiphon.transport.livekit.captions import CaptionLine, Speaker
from antiphon.transport.livekit.events import TOPIC, EventLine
from antiphon.transport.livekit.sdk import DataPacket, Publication, Sdk, TextReader
from antiphon.transport.livekit.users import choose, microphone_of
from antiphon.transport.livekit.voice import Voice
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.fields import Json
from antiphon.transport.seat import Seat

PAUSE_S = 1.0
"""Between the end of a conversation and the next one with somebody who is still there."""

_CAPTIONED: Json = {"audio": {"input": {"transcription": {}}}}
"""The user's words are told, since LiveKit's clients show them, unless the session object says otherwise."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where to go, and what to do there."""

    url: str
    token: str = field(repr=False)
    identity: str | None = None
    """The participant to converse with; the first that has a microphone when it is not said."""
    query: dict[str, str] = field(default_factory=dict)
    session: Json = field(default_factory=dict)
    """The client's wishes for the session, as of a WebSocket's query and of ``session.update``."""
    stays: bool = False
    """After a conversation wait for the next one, and before it as long as it takes.

    Such a room is served even when the server is full.
    """

    def configure(self, gateway: Gateway) -> SessionConfig:
        """The configuration of a conversation. Raises ProtocolError."""
        config = gateway.configure(self.query, _CAPTIONED, paced=True)
        config.update(self.session)
        return config


class Visit:
    """From joining to leaving. All of it lives within ``run``."""

    def __init__(self, sdk: Sdk, gateway: Gateway, invitation: Invitation) -> None:
        self._sdk = sdk
        self._gateway = gateway
        self._invitation = invitation
        self._room = sdk.room()
        self._voice = Voice(sdk)
        self._voice_track = ""
        self._reconnecting = False
        self._over = asyncio.Event()
        """It is to end, or the room is gone."""
        self._somebody = asyncio.Event()
        """Set while there is somebody to converse with."""
        self._group: asyncio.TaskGroup | None = None
        self._met: str | None = None
        """With whom the conversation was last."""
        self._line: EventLine | None = None
        self._track: Any = None
        self._listening: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self.user: str | None = None
        """The identity of the participant who is heard."""
        self.seat: Seat | None = None
        """The conversation, while there is one."""

    @property
    def room_name(self) -> str:
        return self._room.name

    @property
    def identity(self) -> str:
        """Our own in the room."""
        return self._room.local_participant.identity

    # Coming and going.

    async def join(self) -> None:
        """Enters the room. Raises what the SDK's ``failures`` are; then nothing is left to be closed."""
        room = self._room
        changes = ("participant_connected", "participant_disconnected", "track_published", "track_unpublished")
        for change in (*changes, "track_subscribed", "track_unsubscribed"):
            room.on(change, self._look)
        room.on("reconnecting", self._lost)
        room.on("reconnected", self._found)
        room.on("disconnected", self._gone)
        room.on("data_received", self._take)
        room.register_text_stream_handler(TOPIC, self._take_stream)
        try:
            limit = self._gateway.limits.max_message_bytes
            await self._sdk.connect(room, self._invitation.url, self._invitation.token, limit)
            publication = await self._sdk.publish(room, self._voice.track)
        except BaseException:
            await self._depart()
            raise
        self._voice_track = publication.sid

    async def run(self, place: Place | None = None) -> None:
        """Converses until it is over, the first time in ``place`` if it was given one. Cancelling it leaves at once."""
        try:
            async with asyncio.TaskGroup() as self._group:
                self._group.create_task(self._voice.run())
                self._look()
                try:
                    await self._attend(self._group, place)
                finally:
                    self._over.set()
                    self._hear(None)
                    for reading in self._reading:
                        reading.cancel()
                    self._voice.finish()
        finally:
            self._group = None
            await self._depart()

    async def _attend(self, group: asyncio.TaskGroup, place: Place | None) -> None:
        if place is not None:
            if await self._is_awaited():
                await self._converse(group, place)
            return
        while await self._is_awaited():
            with self._gateway.place() as taken:
                await self._converse(group, taken)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_S):
                    await self._over.wait()

    def leave(self) -> None:
        """``run`` returns soon after."""
        self._over.set()
        if self.seat is not None:
            self.seat.end(WSCloseCode.OK, "")

    async def _depart(self) -> None:
        failures: tuple[type[Exception], ...] = (TimeoutError, *self._sdk.failures)
        try:
            async with asyncio.timeout(self._gateway.limits.close_timeout_s):
                await self._room.disconnect()
        except failures:
            _log.warning("the room did not let us go in time")
        finally:
            await self._voice.close()

    async def _is_awaited(self) -> bool:
        """Whether there is somebody to converse with, now or within the time that an idle client has."""
        patience_s = None if self._invitation.stays else self._gateway.limits.idle_timeout_s
        waiting = [asyncio.create_task(event.wait()) for event in (self._somebody, self._over)]
        try:
            await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        return self._somebody.is_set() and not self._over.is_set()

    # A conversation.

    async def _converse(self, group: asyncio.TaskGroup, place: Place) -> None:
        config = self._invitation.configure(self._gateway)
        seat = self._gateway.seat(place, config, vendor=self._vendor, mouth=self._voice.say)
        self.seat, self._met = seat, None
        agent = (self.identity, self._voice_track)
        captions = CaptionLine(self._sdk, self._room.local_participant, agent, self._heard, seat.limits)
        try:
            group.create_task(seat.listen_in(Connection(captions, seat.limits)))
            self._meet()
            await seat.over.wait()
        finally:
            seat.end(WSCloseCode.OK, "")
            self.seat = None

    def _meet(self) -> None:
        """The one who is heard is another one, or the conversation begins."""
        if self._line is not None:
            self._line.abort()
            self._line = None
        seat, user = self.seat, self.user
        if seat is None or not seat.is_open:
            return
        if user is None:
            self._voice.clear()
            seat.away()
            return
        self._line = EventLine(self._sdk, self._room.local_participant, user, seat.limits, self._voice.clear)
        connection = Connection(self._line, seat.limits, vendor=self._vendor)
        if user == self._met:
            seat.reattach(connection, None)
        else:
            seat.attach(connection)
        self._met = user
        seat.back()
        assert self._group is not None
        self._group.create_task(seat.attend(connection, left=lambda: connection.close(WSCloseCode.OK, "")))

    # What happens in the room.

    def _look(self, *_: Any) -> None:
        """Somebody or something has come or gone."""
        if self._group is None or self._over.is_set():
            return
        participants = {} if self._reconnecting else self._room.remote_participants
        user = choose(self._sdk, participants, self._invitation.identity, self.user or self._met)
        self._hear(None if user is None else microphone_of(self._sdk, user))
        identity = None if user is None else user.identity
        if identity != self.user:
            _log.info("a room has somebody else to hear" if identity else "nobody is left to hear in a room")
            self.user = identity
            (self._somebody.set if identity else self._somebody.clear)()
            self._meet()

    def _hear(self, microphone: Publication | None) -> None:
        if microphone is not None and microphone.track is None:
            microphone.set_subscribed(True)  # and then we are told of its track
        track = None if microphone is None else microphone.track
        if track is self._track:
            return
        self._track = track
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None
        if track is not None and self._group is not None:
            self._listening = self._group.create_task(self._listen(track))

    async def _listen(self, track: Any) -> None:
        stream = self._sdk.stream(track)
        try:
            async for event in stream:
                if self.seat is not None and self.seat.is_open:
                    self.seat.hear(bytes(event.frame.data))
        finally:
            await stream.aclose()

    @property
    def _vendor(self) -> bool:
        """Events of our own were asked for."""
        return self._invitation.query.get("events") == "antiphon"

    def _heard(self) -> Speaker | None:
        return (self._met, "" if self._track is None else self._track.sid) if self._met is not None else None

    def _lost(self) -> None:
        _log.info("the connection to a room was lost")
        self._reconnecting = True
        self._look()

    def _found(self) -> None:
        _log.info("the connection to a room is back")
        self._reconnecting = False
        self._look()

    def _gone(self, reason: Any = None) -> None:
        if not self._over.is_set():
            _log.info("a room is gone", reason=reason)
        self.leave()

    def _take(self, packet: DataPacket) -> None:
        """Events of the one who is heard, and of the operator, who sends them through LiveKit's server."""
        sender = None if packet.participant is None else packet.participant.identity
        if packet.topic == TOPIC and self._line is not None and sender in (None, self.user):
            self._line.take(packet.data)

    def _take_stream(self, reader: TextReader, identity: str) -> None:
        if self._group is None or self._line is None or identity != self.user:
            reader.close()
        else:
            reading = self._group.create_task(self._read(reader, self._line))
            self._reading.add(reading)
            reading.add_done_callback(self._reading.discard)

    async def _read(self, reader: TextReader, line: EventLine) -> None:
        try:
            line.take(await reader.read_all())
        except self._sdk.failures as failure:
            _log.debug("an event was not read to its end", error=str(failure))
        finally:
            reader.close()
