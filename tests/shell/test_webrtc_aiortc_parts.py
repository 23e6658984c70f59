"""Our ear and mouth in the place of aiortc's own: over real sockets, and a clear word when aiortc changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender, RTCSessionDescription
from aiortc.rtp import RtcpReceiverInfo, RtcpRrPacket
from tests.shell.test_webrtc_opus import EAR_FRAME_SAMPLES, likeness, speech

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, resample, samples_of
from antiphon.errors import ConfigError
from antiphon.session.pacer import Pacer
from antiphon.sim.udp_relay import UdpRelay
from antiphon.transport.webrtc.aiortc_parts import AiortcChangedError, listen, negotiate, speak
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.mouth import Mouth

DEADLINE_S = 20


@dataclass
class Side:
    """One end of a call: what it says, and what it has heard."""

    pacer: Pacer
    peer: RTCPeerConnection = field(default_factory=RTCPeerConnection)
    heard: bytearray = field(default_factory=bytearray)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.ear = Ear(self._hear, self.pacer)

    def _hear(self, pcm: bytes) -> None:
        self.heard += pcm
        self.news.set()

    def fit(self) -> None:
        """Puts ear and mouth into the connection."""
        transceiver = self.peer.getTransceivers()[0]
        self.codec = negotiate(transceiver)
        self.mouth = Mouth(self.pacer, self.codec)
        listen(transceiver.receiver, self.ear)
        speak(transceiver.sender, self.mouth)
        transceiver.direction = "sendrecv"

    async def has_heard(self, frames: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.heard) < frames * EAR_FRAME_SAMPLES * 2:
                self.news.clear()
                await self.news.wait()

    async def say(self, frames: list[bytes]) -> None:
        said, left = asyncio.Event(), iter(frames)

        def tick(now: float) -> None:
            frame = next(left, None)
            if frame is None:
                self.pacer.leave(tick)
                said.set()
            else:
                self.mouth.send(frame)

        self.pacer.join(tick)
        await said.wait()


async def connected(peer: RTCPeerConnection) -> None:
    there = asyncio.Event()
    peer.on("connectionstatechange", lambda: there.set() if peer.connectionState == "connected" else None)
    if peer.connectionState != "connected":
        async with asyncio.timeout(DEADLINE_S):
            await there.wait()


def only(kept: str, sdp: str) -> str:
    """An offer without the other codecs."""
    lines = sdp.split("\r\n")
    numbers = [line.split(":")[1].split()[0] for line in lines if line.startswith("a=rtpmap:") and kept in line]
    audio = next(line for line in lines if line.startswith("m=audio"))
    lines[lines.index(audio)] = " ".join([*audio.split()[:3], *numbers])
    dropped = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:")
    return "\r\n".join(
        line for line in lines if not line.startswith(dropped) or line.split(":")[1].split()[0] in numbers
    )


@asynccontextmanager
async def call(codec: str | None = None, relay: UdpRelay | None = None) -> AsyncIterator[tuple[Side, Side]]:
    """Two peers with our ears and mouths, connected over loopback, or over a bad line."""
    pacer = Pacer()
    one, other = Side(pacer), Side(pacer)
    try:
        one.peer.addTransceiver("audio")
        await one.peer.setLocalDescription(await one.peer.createOffer())
        offer = one.peer.localDescription
        sdp = only(codec, offer.sdp) if codec else offer.sdp
        sdp = relay.for_far(sdp) if relay else sdp
        await other.peer.setRemoteDescription(RTCSessionDescription(sdp, offer.type))
        other.fit()
        await other.peer.setLocalDescription(await other.peer.createAnswer())
        answer = other.peer.localDescription
        sdp = relay.for_near(answer.sdp) if relay else answer.sdp
        await one.peer.setRemoteDescription(RTCSessionDescription(sdp, answer.type))
        one.fit()
        await asyncio.gather(connected(one.peer), connected(other.peer))
        yield one, other
    finally:
        for side in (one, other):
            await side.peer.close()
            side.ear.close()
            if hasattr(side, "mouth"):
                side.mouth.stop()


def alike(frames: list[bytes], heard: bytes) -> float:
    """How well what was heard agrees with what was said, at the delay where it agrees best."""
    said = samples_of(resample(b"".join(frames), MOUTH_RATE_HZ, EAR_RATE_HZ)).astype(np.float64)
    got = samples_of(heard).astype(np.float64)
    size = 1 << (len(said) + len(got)).bit_length()
    agreement = np.fft.irfft(np.fft.rfft(got, size) * np.conj(np.fft.rfft(said, size)))
    at = int(np.argmax(agreement[: len(got)]))
    length = min(len(said), len(got) - at)
    return likeness(said[:length].astype(np.int16), got[at : at + length].astype(np.int16))


@pytest.mark.parametrize(("codec", "least"), [(None, 0.8), ("PCMU", 0.7)])
async def test_two_peers_hear_each_other(codec: str | None, least: float) -> None:
    frames = speech()[:100]
    async with call(codec) as (one, other):
        assert other.codec == (codec or "opus").lower()
        await asyncio.gather(one.say(frames), other.say(frames))
        for side in (one, other):
            await side.has_heard(100)
            assert alike(frames, bytes(side.heard)) > least
            assert side.ear.counts.lost == 0
        assert not [thread for thread in threading.enumerate() if "decoder" in thread.name]


async def test_the_answer_asks_for_error_correction_and_offers_what_we_speak() -> None:
    async with call() as (_, other):
        sdp = other.peer.localDescription.sdp
        assert "useinbandfec=1" in sdp
        assert "G722" not in sdp


async def test_reports_go_on_and_tell_the_mouth_of_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with call() as (one, other):
        reports: asyncio.Queue[float] = asyncio.Queue()
        monkeypatch.setattr(one.mouth, "expect_loss", reports.put_nowait)
        await one.say(speech()[:50])
        async with asyncio.timeout(DEADLINE_S):
            assert await reports.get() == 0
        sender = one.peer.getSenders()[0]
        lossy = RtcpReceiverInfo(sender._ssrc, 64, 9, 1, 0, 0, 0)
        await sender._handle_rtcp_packet(RtcpRrPacket(ssrc=1, reports=[lossy]))
        while (percent := reports.get_nowait()) == 0:
            pass  # another real one came
        assert percent == 25
        stats = (await other.peer.getReceivers()[0].getStats()).values()
        assert next(s.packetsReceived for s in stats if s.type == "inbound-rtp") >= 50


async def test_an_offer_without_a_codec_of_ours_is_refused() -> None:
    one, other = RTCPeerConnection(), RTCPeerConnection()
    one.addTransceiver("audio")
    await one.setLocalDescription(await one.createOffer())
    await other.setRemoteDescription(RTCSessionDescription(only("G722", one.localDescription.sdp), "offer"))
    with pytest.raises(ConfigError, match="offer one of opus, pcmu, pcma"):
        negotiate(other.getTransceivers()[0])
    await one.close()
    await other.close()


@pytest.mark.parametrize("part", ["_RTCRtpReceiver__jitter_buffer", "_RTCRtpReceiver__decoder_thread"])
async def test_an_aiortc_that_has_changed_is_noticed(part: str) -> None:
    peer = RTCPeerConnection()
    receiver: RTCRtpReceiver = peer.addTransceiver("audio").receiver
    delattr(receiver, part)
    ear = Ear(lambda pcm: None, Pacer())
    with pytest.raises(AiortcChangedError, match=r"antiphon\[webrtc\]"):
        listen(receiver, ear)
    ear.close()
    await peer.close()


async def test_a_sender_that_has_changed_is_noticed() -> None:
    peer = RTCPeerConnection()
    sender: RTCRtpSender = peer.addTransceiver("audio").sender
    del sender._ssrc
    mouth = Mouth(Pacer())
    with pytest.raises(AiortcChangedError, match="sender"):
        speak(sender, mouth)
    mouth.stop()
    sender._ssrc = 1
    await peer.close()
