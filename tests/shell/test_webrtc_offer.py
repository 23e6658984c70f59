"""Offers that are unusual, and offers that are wrong: each is answered, or refused with what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.shell.test_webrtc_calls import CALLS, Site, site, typed

from antiphon.errors import ProtocolError
from antiphon.transport.webrtc.offer import Offer

SDP = {"Content-Type": "application/sdp"}
BOUNDED = {"Content-Type": "multipart/form-data; boundary=part"}


@pytest.fixture
async def here() -> AsyncIterator[Site]:
    async with site() as served:
        yield served


async def offered(here: Site) -> str:
    client = here.call()
    sdp = await client.offer()
    await client.close()
    return sdp


@pytest.mark.parametrize("at_session", [False, True], ids=["nowhere", "for the session"])
async def test_an_offer_need_not_say_which_way_its_audio_goes(here: Site, at_session: bool) -> None:
    def without(sdp: str) -> str:
        bare = sdp.replace("a=sendrecv\r\n", "")
        return bare.replace("t=0 0\r\n", "t=0 0\r\na=sendrecv\r\n") if at_session else bare

    async with here.call(data=without, headers=SDP) as client:
        assert "a=sendrecv" in client.answer
        await client.until("session.created")
        client.send(typed("Hello."))
        client.send({"type": "response.create"})
        await client.until("output_audio_buffer.stopped")


async def test_the_direction_of_the_session_is_that_of_its_audio(here: Site) -> None:
    sdp = (await offered(here)).replace("a=sendrecv\r\n", "").replace("t=0 0\r\n", "t=0 0\r\na=recvonly\r\n")
    async with here.http.post(here.server.url + CALLS, data=sdp, headers=SDP) as response:
        assert response.status == 201
        assert "a=sendonly" in await response.text()


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "an unknown kind": (lambda sdp: sdp.replace("m=application", "m=message"), "kind 'message'"),
    "two for data": (lambda sdp: sdp + sdp[sdp.index("m=application") :].replace("mid:1", "mid:2"), "more than one"),
    "a name twice": (lambda sdp: sdp.replace("a=mid:1", "a=mid:0"), "the same 'mid'"),
    "no codec of ours": (lambda sdp: re.sub(r"a=rtpmap:(?!9 ).*\r\n", "", sdp), "offer one of opus, pcmu, pcma"),
    "a port too high": (lambda sdp: re.sub(r"\d+ typ host", "99999 typ host", sdp), "the port 99999"),
    "no payload types": (lambda sdp: re.sub(r"(m=audio \S+ \S+) .*", r"\1", sdp), "AssertionError"),
}


@pytest.mark.parametrize("case", WRONG)
async def test_what_cannot_be_answered_is_told(here: Site, case: str) -> None:
    spoil, words = WRONG[case]
    async with here.http.post(here.server.url + CALLS, data=spoil(await offered(here)), headers=SDP) as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (400, "invalid_offer")
        assert words in error["message"]


async def test_the_offer_is_left_as_it_is_beside_that(here: Site) -> None:
    sdp = await offered(here)
    assert Offer.parse(sdp).sdp == sdp
    with pytest.raises(ProtocolError, match="no media section"):
        Offer.parse("v=0\r\n")


def part(name: str, body: bytes | str, *headers: str) -> bytes:
    lines = [f'Content-Disposition: form-data; name="{name}"', *headers, "", ""]
    return b"--part\r\n" + "\r\n".join(lines).encode() + (body if isinstance(body, bytes) else body.encode()) + b"\r\n"


@pytest.mark.parametrize("sdp_last", [False, True])
@pytest.mark.parametrize("beside", [b"", part("something", "else")])
async def test_the_parts_come_in_any_order(here: Site, sdp_last: bool, beside: bytes) -> None:
    parts = [part("sdp", await offered(here)), beside, part("session", '{"type": "realtime"}')]
    body = b"".join(reversed(parts) if sdp_last else parts) + b"--part--\r\n"
    async with here.http.post(here.server.url + CALLS, data=body, headers=BOUNDED) as response:
        assert response.status == 201, await response.text()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", BOUNDED),
        (b"nonsense", BOUNDED),
        (b"v=0", {"Content-Type": "multipart/form-data"}),
        (part("sdp", "v=0"), BOUNDED),
        (part("sdp", b"\xff\xfe") + b"--part--\r\n", BOUNDED),
        (part("sdp", "v=0", "Content-Type: text/plain; charset=nonsense") + b"--part--\r\n", BOUNDED),
        (part("sdp", "v=0", "Content-Transfer-Encoding: nonsense") + b"--part--\r\n", BOUNDED),
        (b"--part\r\nX-Name: sdp\r\n\r\nv=0\r\n--part--\r\n", BOUNDED),
        (part("sdp", "--other--", "Content-Type: multipart/mixed; boundary=other") + b"--part--\r\n", BOUNDED),
    ],
    ids=["empty", "nonsense", "no boundary", "no end", "not text", "charset", "encoding", "no name", "nested"],
)
async def test_a_body_that_is_not_multipart_is_told(here: Site, body: bytes, headers: dict[str, Any]) -> None:
    async with here.http.post(here.server.url + CALLS, data=body, headers=headers) as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (400, "invalid_multipart")
        assert error["message"].startswith("The multipart body cannot be read: ")


async def test_a_body_that_is_not_as_it_says_is_told(here: Site) -> None:
    """It says that it is compressed."""
    headers = {**SDP, "Content-Encoding": "gzip"}
    async with here.http.post(here.server.url + CALLS, data=b"v=0", headers=headers, chunked=True) as response:
        assert response.status == 400
        assert "cannot be read" in (await response.json())["error"]["message"]
