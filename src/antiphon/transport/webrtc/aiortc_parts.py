"""Where our media path takes the place of aiortc's own. All that depends on aiortc's inner parts is here.

aiortc holds audio back by four packets, hands each to a thread of the call, and knows no error correction. Its
receiver goes on counting packets for its reports; only its jitter buffer is replaced by one that passes everything
on, and its decoder's thread is ended as soon as it has begun.
"""

from __future__ import annotations

from typing import Any

from aiortc import RTCRtpReceiver, RTCRtpSender, RTCRtpTransceiver
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtp import AnyRtcpPacket, RtcpRrPacket, RtcpSrPacket, RtpPacket

from antiphon.errors import AntiphonError, ConfigError
from antiphon.transport.webrtc.ear import CODECS, Ear
from antiphon.transport.webrtc.mouth import Mouth
from antiphon.transport.webrtc.opus import BITRATE

_JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"
_DECODER_THREAD = "_RTCRtpReceiver__decoder_thread"

OPUS_PARAMETERS: dict[str, Any] = {"minptime": 10, "useinbandfec": 1, "maxaveragebitrate": BITRATE}
"""What we ask of the client's Opus (RFC 7587, section 6.1): error correction, and bits enough for it."""


_HAS_CHANGED = "is not as we know it: install the version that antiphon[webrtc] asks for"


class AiortcChangedError(AntiphonError):
    """The installed aiortc is not built as the one that this was written for."""


class _Passage:
    """Stands where aiortc expects its jitter buffer."""

    def __init__(self, ear: Ear) -> None:
        self.ear = ear
        self.codecs: dict[int, str] = {}

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """No picture to ask for, and nothing to decode."""
        codec = self.codecs.get(packet.payload_type)
        if codec is not None:
            self.ear.packet(codec, packet.ssrc, packet.sequence_number, packet.timestamp, packet.payload)
        return False, None


def negotiate(transceiver: RTCRtpTransceiver) -> str:
    """Keeps the codecs that we speak and returns the first, in which we send.

    Between ``setRemoteDescription`` and the answer. Raises ConfigError when none is common.
    """
    spoken = [codec for codec in transceiver._codecs if codec.name.lower() in CODECS]
    if not spoken:
        raise ConfigError(f"no audio codec in common: offer one of {', '.join(CODECS)}")
    for codec in spoken:
        if codec.name.lower() == "opus":
            codec.parameters.update(OPUS_PARAMETERS)
    transceiver._codecs = spoken
    return str(spoken[0].name.lower())


def listen(receiver: RTCRtpReceiver, ear: Ear) -> None:
    """Has the packets go to ``ear``; the receiver's own track stays silent.

    Before the answer, as the receiver must not have begun. Raises AiortcChangedError when aiortc was built anew.
    """
    buffer = getattr(receiver, _JITTER_BUFFER, None)
    thread = getattr(receiver, _DECODER_THREAD, AiortcChangedError)
    if not hasattr(buffer, "add") or thread is not None or not hasattr(receiver, "_handle_disconnect"):
        raise AiortcChangedError(f"aiortc's receiver {_HAS_CHANGED}")
    passage = _Passage(ear)
    begin = receiver.receive

    async def receive(parameters: RTCRtpReceiveParameters) -> None:
        if not passage.codecs:
            for codec in parameters.codecs:
                if codec.payloadType is not None:
                    passage.codecs[codec.payloadType] = codec.name.lower()
            await begin(parameters)
            receiver._handle_disconnect()  # ends the decoder's thread, and nothing else

    setattr(receiver, _JITTER_BUFFER, passage)
    receiver.receive = receive  # type: ignore[method-assign]


def speak(sender: RTCRtpSender, mouth: Mouth) -> None:
    """Has ``sender`` send what ``mouth`` says, and tells the mouth how much of it the listener reports as lost.

    Raises AiortcChangedError when aiortc was built anew.
    """
    handle = getattr(sender, "_handle_rtcp_packet", None)
    if handle is None or not hasattr(sender, "_ssrc"):
        raise AiortcChangedError(f"aiortc's sender {_HAS_CHANGED}")

    async def handle_rtcp_packet(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpRrPacket | RtcpSrPacket):
            for report in packet.reports:
                if report.ssrc == sender._ssrc:
                    mouth.expect_loss(report.fraction_lost * 100 / 256)
        await handle(packet)

    sender._handle_rtcp_packet = handle_rtcp_packet  # type: ignore[method-assign]
    sender.replaceTrack(mouth)
