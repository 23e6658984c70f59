"""A call over a bad network: what the line does reaches the media and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from tests.shell.test_webrtc_aiortc_parts import alike, call
from tests.shell.test_webrtc_opus import EAR_FRAME_SAMPLES, speech

from antiphon.sim.lossy_line import LineQuality
from antiphon.sim.udp_relay import UdpRelay


async def test_a_call_over_a_bad_line_misses_nothing_but_what_was_lost() -> None:
    frames = speech()[:150]
    quality = LineQuality(loss=0.1, jitter_ms=40, duplicated=0.1)
    async with UdpRelay(quality) as relay, call(relay=relay) as (one, other):
        await asyncio.gather(one.say(frames), other.say(frames))
        for side in (one, other):
            await side.has_heard(140)
            assert 5 <= side.ear.counts.lost <= 30
            assert alike(frames, bytes(side.heard)) > 0.6
            assert len(side.heard) <= 170 * EAR_FRAME_SAMPLES * 2, "no moment twice"


async def test_a_good_line_changes_nothing() -> None:
    async with UdpRelay(LineQuality()) as relay, call(relay=relay) as (one, other):
        await one.say(speech()[:50])
        await other.has_heard(50)
        assert other.ear.counts.lost == 0


async def test_there_is_no_way_around_it() -> None:
    candidates = (
        "a=candidate:0 1 udp 2122262783 2001:db8::7 50000 typ host generation 0 network-id 3",
        "a=candidate:1 1 udp 2122260223 192.0.2.7 50000 typ host generation 0 network-id 1",
        "a=candidate:2 1 udp 2122194687 198.51.100.7 50001 typ host generation 0 network-id 2",
        "a=candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active generation 0",
        "a=candidate:4 1 udp 2122129151 127.0.0.1 50002 typ host generation 0",
        "a=candidate:5 1 udp 2122063615 ::1 50003 typ host generation 0",
    )
    sections = ("m=audio 9 UDP/TLS/RTP/SAVPF 96", *candidates, "a=mid:0")
    offer = "\r\n".join(["v=0", *sections, "m=application 9 UDP/DTLS/SCTP x", *candidates, ""])
    async with UdpRelay(LineQuality()) as relay:
        told = relay.for_far(offer)
    _, _, door, *rest = told.splitlines()
    assert told.count("candidate") == 1
    assert door.startswith("a=candidate:1 1 udp 2130706431 192.0.2.7 ") and "50000" not in door
    assert rest == ["a=mid:0", "m=application 9 UDP/DTLS/SCTP x"]
    assert told.count("\n") == told.count("\r\n") == 5


async def test_a_description_without_an_address_is_refused() -> None:
    async with UdpRelay(LineQuality()) as relay:
        with pytest.raises(ValueError, match="no host candidate"):
            relay.for_far("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 96\r\n")
