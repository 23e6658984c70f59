"""One WebRTC connection to a client: its media, its data channel, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

import structlog
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription

from antiphon.errors import AntiphonError, ConfigError
from antiphon.session.pacer import Pacer
from antiphon.transport.limits import Limits
from antiphon.transport.webrtc.aiortc_parts import listen, negotiate, speak
from antiphon.transport.webrtc.channel import LABEL, ChannelLine
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.ice import IceConnection, begin_restart, use_ice
from antiphon.transport.webrtc.mouth import Mouth
from antiphon.transport.webrtc.network import Network
from antiphon.transport.webrtc.offer import Offer, refused

CONNECT_TIMEOUT_S = 20.0
"""From the answer to a connection that stands. Clients give up sooner."""

LOST_AFTER_S = 5.0
"""Without a sign of life for so long, a client counts as lost. Browsers send several a second, and with nothing to say
still a connectivity check each 2.5 s."""

_log = structlog.get_logger(__name__)


class UnreachableError(AntiphonError):
    """This server has no address or port to offer at present."""


class GoneError(Exception):
    """The connection was ended meanwhile."""


class Standing(Enum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    """Nothing has come from the client for a while; it may come back."""
    LEFT = "left"
    """The client has ended the connection."""
    FAILED = "failed"
    """No way to the client was found, or the one there was is gone for good."""


class Peer:
    """From the offer to the end of the connection. ``changed`` is called whenever ``standing`` has changed."""

    def __init__(
        self,
        network: Network,
        pacer: Pacer,
        limits: Limits,
        *,
        heard: Callable[[bytes], None],
        changed: Callable[[Peer], None],
    ) -> None:
        """``heard`` gets the user's audio, mono s16 at 16 kHz."""
        self._loop = asyncio.get_running_loop()
        self._pacer = pacer
        self._changed = changed
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self._transceiver = self._pc.addTransceiver("audio", direction="sendrecv")
        self._ice = IceConnection(network, controlling=False)
        use_ice(self._transceiver.receiver.transport.transport, self._ice)
        self._ear = Ear(heard, pacer)
        self._mouth: Mouth | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._began_at = self._loop.time()
        self._fingerprints: frozenset[str] = frozenset()
        """Of the certificates by which the client is known."""
        self.standing = Standing.CONNECTING
        self.gone = asyncio.Event()
        """Set when the client has left, or is to be left."""
        self.line: ChannelLine | None = ChannelLine(limits)
        """Where events go; None when the client has offered no data channel."""

    async def answer(self, offer: Offer) -> str:
        """The answer to an offer, with all candidates in it. Raises ProtocolError and UnreachableError."""
        self._fingerprints = offer.fingerprints
        self._pc.on("datachannel", self._open)
        self._pc.on("connectionstatechange", self._notice)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            for other in self._pc.getTransceivers():
                if other is not self._transceiver:
                    other.direction = "inactive"
            codec = negotiate(self._transceiver)
        except ConfigError as error:
            raise refused(str(error)) from None
        except Exception as error:  # of many kinds, and all because of what is in the offer
            raise refused(str(error) or type(error).__name__) from None
        self._mouth = Mouth(self._pacer, codec)
        speak(self._transceiver.sender, self._mouth)
        listen(self._transceiver.receiver, self._ear)
        if self._pc.sctp is None and self.line is not None:
            self.line.abort()
            self.line = None
        await self._pc.setLocalDescription()
        if not self._ice.local_candidates:
            raise UnreachableError("No UDP port is free for another call; try again shortly")
        self._began_at = self._loop.time()
        _log.debug("an offer was answered", codec=codec, events=self.line is not None)
        return str(self._pc.localDescription.sdp)

    # New paths.

    @property
    def is_alive(self) -> bool:
        """It can be given a new path to the client."""
        return self.standing in (Standing.CONNECTED, Standing.LOST) and not self.gone.is_set()

    def is_same(self, offer: Offer) -> bool:
        """Whether an offer is for this very connection."""
        return offer.fingerprints == self._fingerprints

    async def answer_again(self, offer: Offer) -> str:
        """The answer to another offer for this connection, mostly to restart ICE. Raises ProtocolError and GoneError.

        Its audio goes on; the new path is looked for from now on, and until it is found the old one is used.
        """
        restarts = (offer.username, offer.password) != (self._ice.remote_username, self._ice.remote_password)
        if restarts:
            begin_restart(self._transceiver.receiver.transport.transport, self._ice)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            negotiate(self._transceiver)
            await self._pc.setLocalDescription()
        except Exception as error:
            if restarts:
                self._ice.give_up_restart()
            if self.gone.is_set():
                raise GoneError from None
            raise refused(str(error) or type(error).__name__) from None
        if self.gone.is_set():
            raise GoneError
        if restarts:
            if self._restarting is not None:
                self._restarting.cancel()
            self._restarting = asyncio.create_task(self._restart(offer.username, offer.password))
        return str(self._pc.localDescription.sdp)

    async def _restart(self, username: str, password: str) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._ice.restart(username, password)
        except (ConnectionError, TimeoutError):
            _log.info("no new path to a client was found")
            self._stand(Standing.FAILED)
        else:
            _log.info("a new path to a client was found")
            if self.standing is Standing.LOST:
                self._stand(Standing.CONNECTED)

    # Media.

    def say(self, pcm: bytes) -> None:
        """Sends a 20 ms frame of the agent's voice, mono s16 at 48 kHz."""
        if self._mouth is not None:
            self._mouth.send(pcm)

    def _open(self, channel: RTCDataChannel) -> None:
        if channel.label != LABEL or self.line is None or self.line.opened.is_set():
            _log.debug("a data channel was ignored", label=channel.label[:40])
            return
        self.line.open(channel)

    # How it stands.

    def _notice(self) -> None:
        match self._pc.connectionState:
            case "connected":
                if self._mouth is not None:
                    self._mouth.start()
                self._stand(Standing.CONNECTED)
            case "failed":
                self._stand(Standing.FAILED)
            case "closed":
                self._stand(Standing.LEFT)
            case _:
                pass

    def _stand(self, standing: Standing) -> None:
        if standing is self.standing or self.standing in (Standing.LEFT, Standing.FAILED):
            return
        _log.debug("a connection has changed", standing=standing.value)
        self.standing = standing
        if standing in (Standing.LEFT, Standing.FAILED):
            self.leave()
        self._changed(self)

    def check(self, now: float) -> None:
        """Looks at the times. Called now and then."""
        match self.standing:
            case Standing.CONNECTING if now - self._began_at > CONNECT_TIMEOUT_S:
                self._stand(Standing.FAILED)
            case Standing.CONNECTED if now - self._ice.heard_at > LOST_AFTER_S:
                self._stand(Standing.LOST)
            case Standing.LOST if now - self._ice.heard_at <= LOST_AFTER_S:
                self._stand(Standing.CONNECTED)
            case _:
                pass

    def finish(self) -> None:
        """The session is over: when what waits is sent, whoever serves it closes it."""
        if self.line is not None and self.line.opened.is_set():
            self.gone.set()
        else:
            self.leave()

    def leave(self) -> None:
        """Nothing more will come of it: whoever serves it closes it at once."""
        self.gone.set()
        if self.line is not None:
            self.line.abort()

    async def close(self) -> None:
        """Leaves nothing behind. No harm if done twice."""
        self._stand(Standing.LEFT)
        if self._restarting is not None:
            self._restarting.cancel()
            await asyncio.gather(self._restarting, return_exceptions=True)
        self._ear.close()
        if self._mouth is not None:
            self._mouth.stop()
        await self._pc.close()
