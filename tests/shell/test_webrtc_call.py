"""Further offers of a client whose call is in progress: new paths, offers of no use, and calls that end meanwhile."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiortc import RTCSessionDescription
from tests.shell.media_house import SDP
from tests.shell.rtc_client import PATIENCE_S
from tests.shell.test_resume import REPLY, judge
from tests.shell.test_webrtc_calls import site, typed

from antiphon.transport.webrtc.ice import IceConnection, begin_restart, use_ice
from antiphon.transport.webrtc.network import Network
from antiphon.transport.webrtc.offer import Offer
from antiphon.transport.webrtc.peer import Peer


async def test_ice_is_restarted_and_the_call_goes_on() -> None:
    async with site(llm=REPLY) as here:
        client = here.call()
        ice = IceConnection(Network(listening_on="0.0.0.0"), controlling=True)
        transport = client.pc.getTransceivers()[0].receiver.transport.transport
        use_ice(transport, ice)
        async with client:
            await client.until("session.created")
            client.send(typed("Count."))
            client.send({"type": "response.create"})
            await client.until("output_audio_buffer.started")
            begin_restart(transport, ice)
            async with here.http.post(
                f"{here.server.url}{client.location}",
                data=await client.offer(),
                headers=SDP,
            ) as response:
                assert response.status == 200, await response.text()
                answer = await response.text()
            await client.pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            username = attribute(answer, "ice-ufrag")
            assert username != attribute(client.answer, "ice-ufrag")
            assert attribute(answer, "fingerprint") == attribute(client.answer, "fingerprint")
            async with asyncio.timeout(PATIENCE_S):
                await ice.restart(username, attribute(answer, "ice-pwd"))
            await client.until("output_audio_buffer.stopped")
            judge(client.events, call=True)
            assert client.pc.connectionState == "connected"


@pytest.mark.parametrize("moment", ["setRemoteDescription", "setLocalDescription"])
async def test_a_call_that_ends_while_its_offer_is_answered_is_over(
    moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of the answer is made by then."""
    closed = asyncio.Event()
    close, answer_again = Peer.close, Peer.answer_again

    async def closing(peer: Peer) -> None:
        await close(peer)
        closed.set()

    async with site(llm=REPLY) as here, here.call() as client:
        await client.until("session.created")

        async def answering(peer: Peer, offer: Offer) -> str:
            step = getattr(peer._pc, moment)

            async def hung_up(*description: RTCSessionDescription) -> None:
                await step(*description)
                for status in (200, 404):
                    async with here.http.post(f"{here.server.url}{client.location}/hangup") as response:
                        assert response.status == status, "the second one finds no call"
                await closed.wait()

            monkeypatch.setattr(peer._pc, moment, hung_up)
            return await answer_again(peer, offer)

        monkeypatch.setattr(Peer, "close", closing)
        monkeypatch.setattr(Peer, "answer_again", answering)
        await client.pc.setLocalDescription(await client.pc.createOffer())
        sdp = client.pc.localDescription.sdp.replace("a=ice-ufrag:", "a=ice-ufrag:new")
        async with here.http.post(f"{here.server.url}{client.location}", data=sdp, headers=SDP) as response:
            assert response.status == 404
            assert (await response.json())["error"]["code"] == "call_not_found"
    assert not [task for task in asyncio.all_tasks() if "_restart" in str(task.get_coro())]


async def test_an_offer_that_cannot_be_used_leaves_the_call_as_it_was() -> None:
    async with site(llm=REPLY) as here, here.call() as client:
        await client.until("session.created")
        offer = await client.offer()
        for good, bad in (("opus", "speex"), ("PCMU", "G723"), ("PCMA", "LPC")):
            offer = offer.replace(f"{good}/", f"{bad}/")
        offer = re.sub(r"(m=audio \d+ \S+).*", r"\1 96", offer).replace("a=ice-ufrag:", "a=ice-ufrag:new")
        async with here.http.post(f"{here.server.url}{client.location}", data=offer, headers=SDP) as response:
            assert response.status == 400, await response.text()
        ice = client.pc.getTransceivers()[0].receiver.transport.transport._connection
        (pair,) = ice._nominated.values()
        check, key = ice.build_request(pair, nominate=False), attribute(client.answer, "ice-pwd").encode()
        async with asyncio.timeout(PATIENCE_S):
            await pair.protocol.request(check, pair.remote_addr, key)
        client.send(typed("Count."))
        client.send({"type": "response.create"})
        await client.until("output_audio_buffer.stopped")
        judge(client.events, call=True)


def attribute(sdp: str, name: str) -> str:
    return next(line for line in sdp.splitlines() if line.startswith(f"a={name}:")).partition(":")[2]
