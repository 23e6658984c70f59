"""Calls over WebRTC: how they begin, what goes over them, and how they end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import numpy as np
import orjson
import pytest
from tests.shell.rtc_client import PATIENCE_S, RtcClient

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.sim.referee import Referee

CALLS = "/v1/realtime/calls"
LONG = "scripted:first_token_ms=0,token_ms=1,tokens=60"
KEY = {"Authorization": "Bearer sk-secret"}


class Site:
    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.http = http

    def call(self, path: str = CALLS, **options: Any) -> RtcClient:
        return RtcClient(self.http, self.server.url + path, **options)


@asynccontextmanager
async def site(**options: Any) -> AsyncIterator[Site]:
    """A server with engines that take stated times."""
    config = Config(
        port=0,
        in_process=True,
        vad=options.pop("vad", "scripted"),
        asr="scripted:final_ms=0",
        llm=options.pop("llm", "scripted:first_token_ms=0,token_ms=1,tokens=4"),
        tts="scripted:first_audio_ms=0,speed=100",
        **options,
    )
    async with Server(config) as server, aiohttp.ClientSession() as http:
        yield Site(server, http)


def loudness(pcm: bytes) -> float:
    return float(np.abs(np.frombuffer(pcm, np.int16)).mean())


def typed(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


async def test_a_conversation() -> None:
    async with site() as here, here.call(f"{CALLS}?model=gpt-realtime") as client:
        assert client.call_id.startswith("rtc_")
        await client.until("session.created")
        client.send(typed("Hello."))
        client.send({"type": "response.create"})
        await client.until("output_audio_buffer.stopped")
        judge(client.events, call=True)
        assert loudness(bytes(client.heard)) > 100


def judge(events: list[dict[str, Any]], **options: Any) -> None:
    referee = Referee(**options)
    for event in events:
        referee.feed(event)
    referee.finish()


async def test_what_is_cleared_is_told_with_what_was_heard() -> None:
    async with site(llm=LONG) as here, here.call() as client:
        await client.until("session.created")
        client.send({"type": "output_audio_buffer.clear"})  # nothing plays: no harm
        client.send(typed("Hello."))
        client.send({"type": "response.create"})
        await client.until("output_audio_buffer.started")
        client.send({"type": "output_audio_buffer.clear"})
        truncated = await client.until("conversation.item.truncated")
        judge(client.events, call=True)
        done = await client.until("response.done")
        assert done["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        assert truncated["item_id"] == done["response"]["output"][0]["id"]


async def test_audio_may_come_over_the_data_channel_too() -> None:
    async with site() as here, here.call() as client:
        await client.until("session.created")
        client.send({"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}})
        client.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(48_000)).decode()})
        client.send({"type": "input_audio_buffer.commit"})
        assert "item_id" in await client.until("input_audio_buffer.committed")


async def test_other_people_listen_in_and_take_part() -> None:
    async with site() as here, here.call() as client:
        await client.until("session.created")
        side_url = f"{here.server.url}/v1/realtime?call_id={client.call_id}"
        async with here.http.ws_connect(side_url) as first, here.http.ws_connect(side_url) as second:
            await first.send_json({"type": "session.update", "session": {"instructions": "Be brief."}})
            heard = [await told(first, "session.updated"), await told(second, "session.updated")]
            assert [len(events) for events in heard] == [1, 1], "nothing comes before the answer"
            await second.send_json({"type": "response.nonsense", "event_id": "mine"})
            (error,) = await told(second, "error")
            assert error["error"]["event_id"] == "mine"
            await first.send_json(typed("Hello."))
            await first.send_json({"type": "response.create"})
            for socket, events in zip((first, second), heard, strict=True):
                events += await told(socket, "output_audio_buffer.stopped")
            for events in heard:
                judge(events, sideband=True)
        await client.until("output_audio_buffer.stopped")
        judge(client.events, call=True)
        assert not [event for event in client.events if event["type"] == "error"], "who erred is told, nobody else"
        async with here.http.ws_connect(side_url) as third:
            await third.close()
        client.send({"type": "session.update", "session": {}})
        await client.until("session.updated", since=len(client.events))


async def told(socket: aiohttp.ClientWebSocketResponse, kind: str) -> list[dict[str, Any]]:
    """All events up to the next one of this type."""
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while not events or events[-1]["type"] != kind:
            events.append(orjson.loads(await socket.receive_str()))
    return events


async def test_a_sideband_ends_with_its_call() -> None:
    async with site() as here, here.call() as client:
        await client.until("session.created")
        async with here.http.ws_connect(f"{here.server.url}/v1/realtime?call_id={client.call_id}") as side:
            await client.close()
            async with asyncio.timeout(PATIENCE_S):
                assert (await side.receive()).type is aiohttp.WSMsgType.CLOSE
            assert side.close_code == 1000


async def test_a_call_that_is_not_there_has_no_sideband() -> None:
    async with site() as here:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await here.http.ws_connect(f"{here.server.url}/v1/realtime?call_id=rtc_none")
        assert refused.value.status == 404


def multipart(session: dict[str, Any]) -> Any:
    def made(sdp: str) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("sdp", sdp, content_type="application/sdp")
        form.add_field("session", orjson.dumps(session).decode(), content_type="application/json")
        return form

    return made


async def test_an_offer_may_bring_its_session() -> None:
    session = {"type": "realtime", "instructions": "Be brief.", "audio": {"output": {"speed": 1.25}}}
    async with site() as here, here.call(data=multipart(session)) as client:
        created = (await client.until("session.created"))["session"]
        assert created["instructions"] == "Be brief."
        assert created["audio"]["output"]["speed"] == 1.25


async def test_a_client_secret_brings_its_session() -> None:
    async with site(api_key=("sk-secret",)) as here:
        body = {"session": {"type": "realtime", "instructions": "Be kind."}}
        async with here.http.post(here.server.url + "/v1/realtime/client_secrets", json=body, headers=KEY) as response:
            bearer = {"Authorization": f"Bearer {(await response.json())['value']}"}
        async with here.call(headers=bearer) as client:
            assert (await client.until("session.created"))["session"]["instructions"] == "Be kind."


async def test_pages_of_the_beta_post_their_offer_elsewhere() -> None:
    async with site() as here, here.call("/v1/realtime?model=gpt-4o-realtime-preview") as client:
        await client.until("session.created")


async def refusal(here: Site, path: str = CALLS, **options: Any) -> tuple[int, dict[str, Any]]:
    async with here.http.post(here.server.url + path, **options) as response:
        return response.status, (await response.json())["error"]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "'sdp'"),
        ("v=0\r\n", "no media section"),
        ("nonsense", "no media section"),
        ("v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio x y z\r\n", "cannot be read"),
        ("x" * 100_000, "at most"),
    ],
)
async def test_an_offer_that_is_none_is_refused(data: str, words: str) -> None:
    async with site() as here:
        status, error = await refusal(here, data=data, headers={"Content-Type": "application/sdp"})
        assert status == 400
        assert words in error["message"]


async def test_an_offer_without_audio_is_refused() -> None:
    async with site() as here:
        client = here.call()
        sdp = (await client.offer()).replace("m=audio", "m=video")
        await client.close()
        status, error = await refusal(here, data=sdp, headers={"Content-Type": "application/sdp"})
        assert (status, error["code"]) == (400, "invalid_offer")
        assert "no audio" in error["message"]


async def test_a_key_is_asked_for() -> None:
    async with site(api_key=("sk-secret",)) as here:
        status, _ = await refusal(here, data="v=0", headers={"Content-Type": "application/sdp"})
        assert status == 401


async def test_a_full_server_says_so() -> None:
    async with site(max_sessions=1) as here, here.call() as client:
        await client.until("session.created")
        async with here.http.post(
            here.server.url + CALLS, data=client.pc.localDescription.sdp, headers={"Content-Type": "application/sdp"}
        ) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0


async def test_a_call_that_is_hung_up_is_over() -> None:
    async with site() as here, here.call() as client:
        await client.until("session.created")
        async with here.http.post(f"{here.server.url}{client.location}/hangup") as response:
            assert response.status == 200
        closed = asyncio.Event()
        client.pc.on("connectionstatechange", closed.set)
        async with asyncio.timeout(20):
            while client.pc.connectionState != "closed":
                closed.clear()
                await closed.wait()
        status, error = await refusal(here, f"{client.location}/hangup")
        assert (status, error["code"]) == (404, "call_not_found")
