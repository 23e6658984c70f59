"""The events of a conversation over the data channel of a room."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.livekit.sdk import LocalParticipant, Sdk

TOPIC = "oai-events"

MAX_PACKET_BYTES = 15_000
"""LiveKit takes packets of up to 15 KiB. A longer event goes as a text stream of the same topic."""

CLEARED = b'{"type":"output_audio_buffer.cleared"'

_log = structlog.get_logger(__name__)


class EventLine:
    """Implements ``transport.line.Line``, for one participant: others neither see the events nor send any."""

    def __init__(
        self, sdk: Sdk, me: LocalParticipant, identity: str, limits: Limits, cleared: Callable[[], None]
    ) -> None:
        """``identity``: the participant's. ``cleared`` is called when what was said is not to be heard any more."""
        self._failures = sdk.failures
        self._me = me
        self._to = [identity]
        self._limits = limits
        self._cleared = cleared
        self._inbox: deque[Received] = deque()
        self._inbox_bytes = 0
        self._changed = asyncio.Event()
        self._closed = False

    def take(self, message: str | bytes) -> None:
        """An event of the participant has come."""
        self._inbox.append(Received(message, True))
        self._inbox_bytes += len(message)
        self._changed.set()
        if self._inbox_bytes > self._limits.max_message_bytes:
            _log.warning("a participant sends events faster than they can be read")
            self.abort()

    async def receive(self) -> Received | None:
        while not self._inbox:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        received = self._inbox.popleft()
        self._inbox_bytes -= len(received.data)
        return received

    async def send(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionError("the participant has left")
        if data.startswith(CLEARED):
            self._cleared()
        try:
            if len(data) <= MAX_PACKET_BYTES:
                await self._me.publish_data(data, destination_identities=self._to, topic=TOPIC)
            else:
                await self._me.send_text(data.decode(), destination_identities=self._to, topic=TOPIC)
        except self._failures as failure:
            raise ConnectionError(f"the room took no event: {failure}") from failure

    async def close(self, code: int, reason: str) -> None:
        self.abort()

    def abort(self) -> None:
        self._closed = True
        self._changed.set()
