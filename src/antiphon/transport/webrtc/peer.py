"""One WebRTC connection to a client: its media, its data channel, and whether the client is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum

import structlog
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription

from antiphon.errors import AntiphonError, ConfigError, ProtocolError
from antiphon.session.pacer import Pacer
from antiphon.transport.limits import Limits
from antiphon.transport.webrtc.aiortc_parts import listen, negotiate, speak
from antiphon.transport.webrtc.channel import LABEL, ChannelLine
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.ice import IceConnection, use_ice
from antiphon.transport.webrtc.mouth import Mouth
from antiphon.transport.webrtc.network import Network

CONNECT_TIMEOUT_S = 20.0
"""From the answer to a connection that stands. Clients give up sooner."""

LOST_AFTER_S = 5.0
"""Without a sign of life for so long, a client counts as lost. Browsers send several a second, and with nothing to say
still a connectivity check each 2.5 s."""

_log = structlog.get_logger(__name__)


class UnreachableError(AntiphonError):
    """This server has no address or port to offer at present."""


class Standing(Enum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    LOST = "lost"
    """Nothing has come from the client for a while; it may come back."""
    LEFT = "left"
    """The client has ended the connection."""
    FAILED = "failed"
    """No way to the client was found, or the one there was is gone for good."""


def parsed_offer(sdp: str) -> SessionDescription:
    """Raises ProtocolError, which says what is wrong, unless it is an offer that can be answered."""
    try:
        description = SessionDescription.parse(sdp)
        audio = [media for media in description.media if media.kind == "audio"]
        complete = all(
            media.ice and media.ice.usernameFragment and media.ice.password and media.dtls and media.dtls.fingerprints
            for media in description.media
        )
    except Exception as error:  # the parser raises whatever a line that it does not expect leads to
        raise _refused(f"it cannot be read: {error or type(error).__name__}") from None
    if not description.media:
        raise _refused("it has no media section")
    if not audio:
        raise _refused("it has no audio: add an audio track or transceiver before the offer is made")
    if not complete:
        raise _refused("a media section lacks ICE credentials or a DTLS fingerprint")
    return description


def _refused(reason: str) -> ProtocolError:
    return ProtocolError(f"The SDP offer cannot be used: {reason}", code="invalid_offer", param="sdp")


class Peer:
    """From the offer to the end of the connection. ``changed`` is called whenever ``standing`` has changed."""

    def __init__(
        self,
        network: Network,
        pacer: Pacer,
        limits: Limits,
        *,
        heard: Callable[[bytes], None],
        changed: Callable[[], None],
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
        self._began_at = self._loop.time()
        self.standing = Standing.CONNECTING
        self.line: ChannelLine | None = ChannelLine(limits)
        """Where events go; None when the client has offered no data channel."""

    async def answer(self, sdp: str) -> str:
        """The answer to an offer, with all candidates in it. Raises ProtocolError and UnreachableError."""
        description = parsed_offer(sdp)
        self._pc.on("datachannel", self._open)
        self._pc.on("connectionstatechange", self._notice)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            for other in self._pc.getTransceivers():
                if other is not self._transceiver:
                    other.direction = "inactive"
            codec = negotiate(self._transceiver)
        except ConfigError as error:
            raise _refused(str(error)) from None
        except Exception as error:  # of many kinds, and all because of what is in the offer
            raise _refused(str(error) or type(error).__name__) from None
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
        _log.debug("an offer was answered", codec=codec, sections=len(description.media))
        return str(self._pc.localDescription.sdp)

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
        if standing in (Standing.LEFT, Standing.FAILED) and self.line is not None:
            self.line.abort()
        self._changed()

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

    async def close(self) -> None:
        """Leaves nothing behind. No harm if done twice."""
        self._stand(Standing.LEFT)
        if self.line is not None:
            self.line.abort()
        self._ear.close()
        if self._mouth is not None:
            self._mouth.stop()
        await self._pc.close()
