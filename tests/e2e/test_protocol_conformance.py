"""The protocol as real clients use it: what the real server answers to each request, and in what order."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import aiohttp
import pytest
from tests.e2e.conftest import Ask
from tests.e2e.listening import loudness, words_in_common
from tests.e2e.microphone import Microphone
from tests.e2e.plain_client import PlainClient
from tests.e2e.wiretap import Event, Wiretap

from antiphon.audio import alaw_decode, bytes_to_ms, ulaw_decode

QUESTION = "What is the capital of France?"
LONG = "What can you do?"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather in a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def without_repeats(events: list[Event]) -> list[str]:
    """The types of events, a run of the same type once."""
    kinds: list[str] = []
    for event in events:
        if not kinds or kinds[-1] != event["type"]:
            kinds.append(event["type"])
    return kinds


def audio_of(events: list[Event]) -> bytes:
    return b"".join(base64.b64decode(e["delta"]) for e in events if e["type"] == "response.output_audio.delta")


async def test_a_session_as_the_service_would_open_it(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        [created] = tap.seen()
        session = created["session"]
        assert (session["type"], session["object"]) == ("realtime", "realtime.session")
        assert session["model"] == "alice", "the model that really answers"
        assert (session["output_modalities"], session["tools"], session["tool_choice"]) == (["audio"], [], "auto")
        assert session["max_output_tokens"] == 250
        assert session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        assert session["audio"]["input"]["transcription"] is None
        assert session["audio"]["input"]["turn_detection"] == {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        }
        await client.configure(instructions="Be brief.")
        assert [event["type"] for event in tap.seen()] == ["session.created", "session.updated"]


async def test_an_update_changes_what_it_names_and_nothing_else(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        first = await client.configure(
            instructions="Be brief.", tools=[WEATHER], audio={"input": {"turn_detection": {"type": "server_vad"}}}
        )
        assert first["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 200
        second = await client.configure(model="another", audio={"output": {"speed": 1.25}})
        assert second["instructions"] == "Be brief."
        assert [tool["name"] for tool in second["tools"]] == ["get_weather"]
        assert second["audio"]["output"]["speed"] == 1.25
        assert second["audio"]["input"] == first["audio"]["input"]
        third = await client.configure(instructions="", tools=[], audio={"input": {"turn_detection": None}})
        assert (third["instructions"], third["tools"]) == ("", [])
        assert third["audio"]["input"]["turn_detection"] is None


@pytest.mark.parametrize("eagerness", ["low", "medium", "high", "auto"])
async def test_semantic_vad_is_never_refused(server: str, eagerness: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        detection = {"type": "semantic_vad", "eagerness": eagerness}
        session = await client.configure(audio={"input": {"turn_detection": detection}})
        assert session["audio"]["input"]["turn_detection"] == {
            **detection,
            "create_response": True,
            "interrupt_response": True,
        }


async def test_unknown_names_become_known_ones(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        session = await client.configure(
            audio={"input": {"transcription": {"model": "no-such-model"}}, "output": {"voice": "no-such-voice"}}
        )
        assert session["audio"]["output"]["voice"] != "no-such-voice"
        assert session["audio"]["input"]["transcription"]["model"] != "no-such-model"
        await client.write(QUESTION)
        await client.send("response.create")
        done = await tap.wait_for("response.done")
        assert done["response"]["audio"]["output"]["voice"] == session["audio"]["output"]["voice"]


async def test_order_of_a_text_turn(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        await client.configure(output_modalities=["text"])
        since = tap.mark()
        await client.write(QUESTION)
        await client.send("response.create")
        await tap.wait_for("response.done")
        kinds = [kind for kind in without_repeats(tap.seen(since=since)) if kind != "rate_limits.updated"]
        assert kinds == [
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]


async def test_order_of_a_spoken_turn(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client, Microphone(client.hear) as microphone:
        await client.configure(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 500}}})
        since = tap.mark()
        await microphone.say(ask(QUESTION))
        await tap.wait_for("response.done")
        events = tap.seen(since=since)
        deltas = ("response.output_audio.delta", "response.output_audio_transcript.delta", "rate_limits.updated")
        assert [event["type"] for event in events if event["type"] not in deltas] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.content_part.added",
            "response.output_audio.done",
            "response.output_audio_transcript.done",
            "response.content_part.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        turn = {event["item_id"] for event in events if event["type"].startswith("input_audio_buffer.")}
        [user_item] = [e for e in events if e["type"] == "conversation.item.done" and e["item"]["role"] == "user"]
        assert turn == {user_item["item"]["id"]}
        started, stopped = (tap.seen(f"input_audio_buffer.speech_{edge}")[0] for edge in ("started", "stopped"))
        spoken_ms = bytes_to_ms(len(ask(QUESTION)), 24_000)
        assert stopped["audio_end_ms"] - started["audio_start_ms"] == pytest.approx(spoken_ms, abs=900)


async def test_order_of_a_function_call(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        await client.configure(tools=[WEATHER])
        await client.write("What is the weather in Paris?")
        since = tap.mark()
        await client.send("response.create")
        done = await tap.wait_for("response.done")
        events = tap.seen(since=since)
        first = next(i for i, event in enumerate(events) if event["type"] == "response.created")
        kinds = [kind for kind in without_repeats(events[first:]) if kind != "rate_limits.updated"]
        assert kinds == [
            "response.created",
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "conversation.item.done",
            "response.output_item.done",
            "response.done",
        ]
        added = tap.seen("response.output_item.added")[0]["item"]
        assert (added["type"], added["status"], added["arguments"]) == ("function_call", "in_progress", "")
        [call] = done["response"]["output"]
        assert (call["status"], json.loads(call["arguments"])) == ("completed", {"city": "Paris"})


@pytest.mark.parametrize(("kind", "decode"), [("audio/pcmu", ulaw_decode), ("audio/pcma", alaw_decode)])
async def test_telephone_formats(server: str, ask: Ask, kind: str, decode: Any) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        await client.configure(audio={"output": {"format": {"type": kind}}})
        await client.write("Who is Albert Einstein?")
        await client.send("response.create")
        done = await tap.wait_for("response.done")
        assert done["response"]["audio"]["output"]["format"]["type"] == kind
        spoken = audio_of(tap.seen())
        words = len(done["response"]["output"][0]["content"][0]["transcript"].split())
        assert 0.2 < len(spoken) / 8000 / words < 1.5, "seconds a word"
        assert loudness(decode(spoken)) > 100

        await client.configure(
            audio={"input": {"format": {"type": kind}, "turn_detection": None, "transcription": {"model": "whisper-1"}}}
        )
        await client.hear(spoken)
        await client.send("input_audio_buffer.commit")
        heard = await tap.wait_for("conversation.item.input_audio_transcription.completed")
        assert words_in_common(heard["transcript"], done["response"]["output"][0]["content"][0]["transcript"]) > 0.5


async def test_speed(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        lengths = []
        for speed in (1.0, 1.5):
            await client.configure(audio={"output": {"speed": speed}})
            since = tap.mark()
            await client.write("Who is Albert Einstein?")
            await client.send("response.create", response={"conversation": "none"})
            await tap.wait_for("response.done", since=since)
            lengths.append(len(audio_of(tap.seen(since=since))))
        assert lengths[1] < 0.85 * lengths[0]


async def test_items_have_the_clients_ids_and_places(server: str) -> None:
    async with Wiretap(server, expected_errors={"item_create_duplicate_item_id"}) as tap, PlainClient(tap) as client:
        await client.write("Second.", id="item_second")
        content = [{"type": "input_text", "text": "First."}]
        item = {"id": "item_first", "type": "message", "role": "user", "content": content}
        await client.send("conversation.item.create", item=item, previous_item_id="root")
        added = await tap.wait_for("conversation.item.added", lambda e: e["item"]["id"] == "item_first")
        assert added["previous_item_id"] is None
        await client.send("conversation.item.create", item=item, event_id="again")
        error = (await tap.wait_for("error"))["error"]
        assert (error["code"], error["event_id"]) == ("item_create_duplicate_item_id", "again")


async def test_audio_and_images_in_a_message(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
        await client.send(
            "conversation.item.create",
            item={
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": f"data:image/png;base64,{pixel}"},
                    {"type": "input_audio", "audio": base64.b64encode(ask(QUESTION)).decode()},
                ],
            },
        )
        await tap.wait_for("conversation.item.done")
        await client.send("response.create", response={"output_modalities": ["text"]})
        assert "Paris" in (await tap.wait_for("response.output_text.done"))["text"]
        await tap.wait_for("response.done")


async def test_the_users_audio_can_be_retrieved(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        await client.configure(audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
        await client.hear(ask(QUESTION))
        await client.send("input_audio_buffer.commit")
        heard = await tap.wait_for("conversation.item.input_audio_transcription.completed")
        await client.send("conversation.item.retrieve", item_id=heard["item_id"])
        [content] = (await tap.wait_for("conversation.item.retrieved"))["item"]["content"]
        assert content["type"] == "input_audio"
        assert content["transcript"] == heard["transcript"]
        kept = base64.b64decode(content["audio"])
        assert bytes_to_ms(len(kept), 24_000) == pytest.approx(bytes_to_ms(len(ask(QUESTION)), 24_000), rel=0.1)
        assert loudness(kept) > 100


async def test_a_cleared_buffer_cannot_be_committed(server: str, ask: Ask) -> None:
    async with Wiretap(server, expected_errors={"input_audio_buffer_commit_empty"}) as tap, PlainClient(tap) as client:
        await client.configure(audio={"input": {"turn_detection": None}})
        await client.hear(ask(QUESTION))
        await client.send("input_audio_buffer.clear")
        await tap.wait_for("input_audio_buffer.cleared")
        await client.send("input_audio_buffer.commit", event_id="nothing there")
        error = (await tap.wait_for("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "nothing there")


async def test_a_truncate_beyond_the_end_is_clamped(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        await client.write("Who is Albert Einstein?")
        await client.send("response.create")
        item = (await tap.wait_for("response.done"))["response"]["output"][0]
        played_ms = bytes_to_ms(len(audio_of(tap.seen())), 24_000)
        await client.send(
            "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=int(played_ms) + 500
        )
        await tap.wait_for("conversation.item.truncated")
        await client.send("conversation.item.retrieve", item_id=item["id"])
        kept = (await tap.wait_for("conversation.item.retrieved"))["item"]
        assert kept["content"][0]["transcript"].strip() == item["content"][0]["transcript"].strip()


async def test_one_response_at_a_time_and_asides_beside_it(server: str) -> None:
    code = "conversation_already_has_active_response"
    async with Wiretap(server, expected_errors={code}) as tap, PlainClient(tap, pacing="realtime") as client:
        await client.write(LONG)
        await client.send("response.create")
        await tap.wait_for("response.output_audio.delta")
        await client.send("response.create", event_id="too soon")
        error = (await tap.wait_for("error"))["error"]
        assert (error["code"], error["event_id"]) == (code, "too soon")
        await client.send(
            "response.create",
            response={"conversation": "none", "input": [], "output_modalities": ["text"], "metadata": {"n": "1"}},
        )
        aside = await tap.wait_for("response.done", lambda e: e["response"]["metadata"] == {"n": "1"})
        assert aside["response"]["conversation_id"] is None
        assert not tap.seen("response.done")[:-1], "the first reply ended before the aside"
        await client.send("response.cancel")
        await tap.wait_for("response.done", lambda e: e["response"]["status"] == "cancelled")


async def test_silence_after_a_reply_is_told(server: str) -> None:
    async with Wiretap(server) as tap, PlainClient(tap) as client, Microphone(client.hear):
        detection = {"type": "server_vad", "idle_timeout_ms": 5000}
        await client.configure(audio={"input": {"turn_detection": detection}})
        await client.write("Who are you?")
        await client.send("response.create")
        await tap.wait_for("response.done")
        timeout = await tap.wait_for("input_audio_buffer.timeout_triggered")
        assert timeout["audio_end_ms"] > timeout["audio_start_ms"]
        await tap.wait_for("response.done", since=tap.seen().index(timeout))


@pytest.mark.parametrize(
    "frame",
    [
        "no json",
        "[]",
        '"text"',
        "{}",
        '{"type": 5}',
        '{"type": "no.such.event"}',
        '{"type": "input_audio_buffer.append"}',
        '{"type": "input_audio_buffer.append", "audio": "not base64!"}',
        '{"type": "input_audio_buffer.append", "audio": 7}',
        '{"type": "conversation.item.create"}',
        '{"type": "conversation.item.create", "item": {"type": "message"}}',
        '{"type": "conversation.item.truncate", "item_id": "nobody", "content_index": 0, "audio_end_ms": 0}',
        '{"type": "session.update", "session": {"type": "realtime", "audio": {"output": {"speed": "fast"}}}}',
        '{"type": "response.create", "response": {"input": 3}}',
        b"\x00\x01\x02",
    ],
)
async def test_nonsense_gets_an_error_and_the_session_goes_on(server: str, frame: str | bytes) -> None:
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{server}/v1/realtime?model=antiphon") as socket:
        assert (await socket.receive_json(timeout=30))["type"] == "session.created"
        await (socket.send_str(frame) if isinstance(frame, str) else socket.send_bytes(frame))
        error = await socket.receive_json(timeout=30)
        assert error["type"] == "error"
        assert error["error"]["message"]
        await socket.send_json({"type": "session.update", "session": {"type": "realtime", "instructions": "Go on."}})
        assert (await socket.receive_json(timeout=30))["type"] == "session.updated"


async def test_a_browsers_handshake_and_secret(server: str) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.post(
            f"{server}/v1/realtime/client_secrets",
            json={"session": {"type": "realtime", "instructions": "Be brief."}},
        ) as response:
            secret = await response.json()
        assert secret["value"].startswith("ek_")
        assert isinstance(secret["expires_at"], int)
        protocols = ("realtime", f"openai-insecure-api-key.{secret['value']}")
        async with http.ws_connect(f"{server}/v1/realtime?model=antiphon", protocols=protocols) as socket:
            assert socket.protocol == "realtime"
            created = await socket.receive_json(timeout=30)
            assert created["session"]["instructions"] == "Be brief."


async def test_our_own_events_come_only_when_asked_for(server: str, ask: Ask) -> None:
    for query, wanted in (({}, False), ({"events": "antiphon"}, True)):
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{server}/v1/realtime", params={"model": "antiphon", **query}) as socket,
        ):
            content = [{"type": "input_text", "text": QUESTION}]
            item = {"type": "message", "role": "user", "content": content}
            await socket.send_json({"type": "conversation.item.create", "item": item})
            await socket.send_json({"type": "response.create"})
            kinds = []
            async with asyncio.timeout(30):
                while "response.done" not in kinds:
                    kinds.append((await socket.receive_json())["type"])
            assert any(kind.startswith("antiphon.") for kind in kinds) is wanted
