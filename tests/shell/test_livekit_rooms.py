"""The agent in LiveKit rooms: the server and the SDK's media are real, the room is not."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import numpy as np
import pytest
from livekit import rtc
from tests.shell.livekit_room import AGENT, Reader, Venue

import antiphon.apps.livekit
import antiphon.apps.server
from antiphon.apps.config import Config
from antiphon.apps.livekit import rooms_of
from antiphon.apps.server import Server
from antiphon.engines import tone_code
from antiphon.errors import ConfigError
from antiphon.sim.referee import Referee
from antiphon.transport.livekit import captions, visit

ROOMS = "/v1/livekit/rooms"
LONG = "scripted:first_token_ms=0,token_ms=1,tokens=60"


class Site:
    def __init__(self, server: Server, http: aiohttp.ClientSession, venue: Venue) -> None:
        self.server = server
        self.http = http
        self.venue = venue

    async def join(self, *, query: str = "", status: int = 201, **body: Any) -> dict[str, Any]:
        given = {"url": "wss://livekit.example", "token": self.venue.token, **body}
        async with self.http.post(f"{self.server.url}{ROOMS}{query}", json=given) as answer:
            told: dict[str, Any] = await answer.json()
            assert answer.status == status, told
            if status == 201:
                assert answer.headers["Location"] == f"{ROOMS}/{told['id']}"
            return told

    async def rooms(self) -> list[dict[str, Any]]:
        async with self.http.get(self.server.url + ROOMS) as answer:
            data: list[dict[str, Any]] = (await answer.json())["data"]
            return data

    async def until_left(self) -> None:
        await self.venue.until(lambda: self.venue.connections == 0, lambda: "the room is left")


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Venue]:
    room = Venue()
    monkeypatch.setattr(antiphon.apps.server, "rooms_of", partial(rooms_of, sdk=lambda: room))
    yield room
    assert room.connections == 0, "the agent is still in the room"


@asynccontextmanager
async def site(venue: Venue, **options: Any) -> AsyncIterator[Site]:
    config = Config(
        port=0,
        in_process=True,
        vad="scripted",
        asr="scripted:final_ms=0",
        llm=options.pop("llm", "scripted:first_token_ms=0,token_ms=1,tokens=4"),
        tts="scripted:first_audio_ms=0,speed=100",
        **options,
    )
    before = asyncio.all_tasks()
    async with aiohttp.ClientSession() as http, Server(config) as server:
        yield Site(server, http, venue)
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    assert not left


def typed(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


def judge(events: list[dict[str, Any]]) -> None:
    referee = Referee(call=True)
    for event in events:
        referee.feed(event)
    referee.finish()


async def loud_ms(track: Any, enough_ms: float) -> float:
    """Listens until so much was heard."""
    heard = bytearray()
    stream = rtc.AudioStream.from_track(track=track, sample_rate=16_000, num_channels=1)
    try:
        async with asyncio.timeout(20):
            async for event in stream:
                heard += bytes(event.frame.data)
                loud = np.count_nonzero(np.abs(np.frombuffer(heard, np.int16)) > 500) / 16
                if loud >= enough_ms:
                    return float(loud)
    finally:
        await stream.aclose()
    raise AssertionError("the track has ended")


async def test_a_spoken_conversation(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        room = await here.join()
        assert room["room"] == "lobby"
        assert room["identity"] == AGENT
        await ann.until("session.created")
        listening = asyncio.create_task(loud_ms(venue.agent_track, 200))
        await ann.say(tone_code.encode("echo hello there", 48_000))
        heard = await ann.until("conversation.item.input_audio_transcription.completed")
        assert heard["transcript"] == "echo hello there"
        await ann.until("output_audio_buffer.stopped")
        done = await ann.until("response.done")
        assert done["response"]["output"][0]["content"][0]["transcript"] == "hello there"
        assert await listening >= 200
        judge(ann.events)
        said = await venue.until(lambda: [caption for caption in venue.captions if caption.closed][1:])
        assert (await here.rooms())[0]["user"] == "ann"
    users = [caption for caption in venue.captions if caption.sender == "ann"]
    agents = [caption for caption in venue.captions if caption.sender == AGENT]
    assert {caption.topic for caption in venue.captions} == {"lk.transcription"}
    assert users[-1].text == "echo hello there"
    assert users[-1].attributes == {
        captions.SEGMENT: heard["item_id"],
        captions.FINAL: "true",
        captions.TRACK: ann.microphone_track.sid,
    }
    assert [caption.attributes[captions.FINAL] for caption in users[:-1]] == ["false"] * (len(users) - 1)
    (agent,) = agents
    assert said
    assert agent.text == "hello there"
    assert agent.attributes[captions.FINAL] == "true"
    assert agent.attributes[captions.TRACK] == "TR_agent"


async def test_a_reply_is_interrupted_by_ear(venue: Venue) -> None:
    async with site(venue, llm=LONG) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        ann.send(typed("Hello."))
        ann.send({"type": "response.create"})
        await ann.until("output_audio_buffer.started")
        await ann.say(tone_code.encode("echo stop right there please", 48_000))
        await ann.until("output_audio_buffer.cleared")
        truncated = await ann.until("conversation.item.truncated")
        assert truncated["audio_end_ms"] > 0
        await ann.until("output_audio_buffer.stopped")
        judge(ann.events)


async def test_one_is_heard_and_the_others_are_not(venue: Venue) -> None:
    async with site(venue) as here:
        venue.enter("silent")
        bot = venue.enter("bot", rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
        bot.publish()
        bob = venue.enter("bob")
        bob.publish(rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
        bob.publish()
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await bob.until("session.created")
        ann.send({"type": "session.update", "session": {"instructions": "Obey Ann."}})
        bob.send({"type": "session.update", "session": {"instructions": "Chat."}}, topic="chat")
        bob.send({"type": "session.update", "session": {"instructions": "Be brief."}})
        updated = await bob.until("session.updated")
        assert updated["session"]["instructions"] == "Be brief."
        assert ann.events == []
        shared, microphone = bob.track_publications.values()
        assert shared.track is None
        assert microphone.track is not None
        assert next(iter(ann.track_publications.values())).track is None
        venue.leave("bob")
        created = await ann.until("session.created")
        assert created["session"]["instructions"] == "Be brief.", "the conversation goes on with the next one"
        assert (await here.rooms())[0]["user"] == "ann"


async def test_the_one_who_is_named_is_waited_for(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join(identity="bob", query="?events=antiphon", session={"instructions": "Sing."})
        assert (await here.rooms())[0]["user"] is None
        bob = venue.enter("bob")
        created = await bob.until("session.created")
        assert created["session"]["instructions"] == "Sing."
        bob.send(typed("Hello."))
        bob.send({"type": "response.create"})
        await bob.until("antiphon.clause")
        assert ann.events == []


async def test_who_comes_back_gets_what_was_missed(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        venue.tell("reconnecting")
        assert (await here.rooms())[0]["user"] is None
        venue.tell("reconnected")
        ann.send({"type": "session.update", "session": {"instructions": "Be brief."}})
        await ann.until("session.updated")
        assert [event["type"] for event in ann.events].count("session.created") == 1


async def test_it_ends_when_nobody_comes_back(venue: Venue) -> None:
    async with site(venue, resume_s=0.05) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        venue.leave("ann")
        await here.until_left()


async def test_it_ends_when_nobody_comes(venue: Venue) -> None:
    async with site(venue, idle_timeout_s=0.05) as here:
        await here.join()
        await here.until_left()
        assert await here.rooms() == []


async def test_it_ends_with_the_room(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        venue.broken = True
        venue.tell("disconnected", rtc.DisconnectReason.ROOM_DELETED)
        await here.until_left()


async def test_it_is_sent_away(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        room = await here.join()
        await ann.until("session.created")
        ann.send_long({"type": "session.update", "session": {}})
        endless = Reader(None)
        venue.room_now.stream_handlers["oai-events"](endless, "ann")
        async with here.http.delete(f"{here.server.url}{ROOMS}/{room['id']}") as answer:
            assert (await answer.json())["deleted"]
        await here.until_left()
        assert endless.closed
        async with here.http.delete(f"{here.server.url}{ROOMS}/{room['id']}") as answer:
            assert answer.status == 404


async def test_long_events_go_both_ways(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        reader = ann.send_long({"type": "session.update", "session": {"instructions": "Be brief. " * 2000}})
        updated = await ann.until("session.updated")
        assert len(updated["session"]["instructions"]) == 20_000
        assert reader.closed
        other = Reader('{"type": "session.update", "session": {}}')
        venue.room_now.stream_handlers["oai-events"](other, "somebody else")
        assert other.closed


async def test_audio_may_come_as_events(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        ann.send({"type": "session.update", "session": {"audio": {"input": {"turn_detection": None}}}})
        ann.send({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(48_000)).decode()})
        ann.send({"type": "input_audio_buffer.commit"})
        await ann.until("input_audio_buffer.committed")


async def test_what_cannot_be_joined_is_told(venue: Venue) -> None:
    async with site(venue, max_sessions=1) as here:
        told = await here.join(token="wrong", status=502)
        assert "invalid token" in told["error"]["message"]
        assert (await here.join(url="localhost:7880", status=400))["error"]["param"] == "url"
        assert (await here.join(token="", status=400))["error"]["param"] == "token"
        assert (await here.join(rooms=3, status=400))["error"]["param"] == "rooms"
        assert (await here.join(session={"type": 3}, status=400))["error"]["message"]
        async with here.http.post(here.server.url + ROOMS, data=b"{") as answer:
            assert answer.status == 400
        await here.join()  # none of these has kept the one place
        assert (await here.join(status=503))["error"]["code"] == "server_is_full"


async def test_nobody_joins_without_the_key(venue: Venue) -> None:
    async with site(venue, api_key=("secret",)) as here:
        await here.join(status=401)


async def test_the_room_of_the_configuration(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit, "PAUSE_S", 0.01)
    standing = {"livekit_url": "wss://livekit.example", "livekit_token": venue.token}
    async with site(venue, max_session_s=0.1, **standing) as here:
        ann = venue.enter("ann")
        ann.publish()
        first = await ann.until("session.created")
        error = await ann.until("error")
        assert error["error"]["code"] == "session_expired"
        second = await ann.until("session.created", since=ann.events.index(error))
        assert second["session"]["id"] != first["session"]["id"], "a conversation has ended, and the next one begun"
        (room,) = await here.rooms()
        assert room["user"] == "ann"
        assert venue.connections == 1


async def test_a_room_of_the_configuration_that_cannot_be_joined(venue: Venue) -> None:
    with pytest.raises(ConfigError, match=r"--livekit-url: wss://livekit\.example did not let the agent in"):
        async with site(venue, livekit_url="wss://livekit.example", livekit_token="wrong"):
            pass


async def test_the_server_does_not_wait_for_a_room_that_hangs(venue: Venue) -> None:
    async with site(venue) as here:
        ann = venue.enter("ann")
        ann.publish()
        await here.join()
        await ann.until("session.created")
        venue.hangs_at_leaving = True


async def test_without_the_sdk(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antiphon.apps.livekit, "is_installed", lambda: False)
    async with site(venue) as here:
        assert "antiphon[livekit]" in (await here.join(status=501))["error"]["message"]
    with pytest.raises(ConfigError, match=r"antiphon\[livekit\]"):
        async with site(venue, livekit_url="wss://livekit.example", livekit_token="t"):
            pass


def test_a_token_is_not_shown() -> None:
    assert "secret" not in repr(visit.Invitation("wss://host", "secret"))
