"""Whole conversations over the wire with scripted engines, every event of them before the referee."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from antiphon.audio import resample, samples_of
from antiphon.core.settings import SessionSettings
from antiphon.engines import tone_code
from antiphon.engines.scripted import (
    BrainOptions,
    ScriptedBrain,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedVad,
    SynthesizerOptions,
)
from antiphon.engines.suite import Suite
from antiphon.session.session import Session
from antiphon.sim.referee import Referee
from antiphon.transport.base import Outlet
from antiphon.transport.http import make_app
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.offer import Offer

PATIENCE_S = 30.0
RATE_HZ = 24_000

Event = dict[str, Any]


class Caller:
    """A client whose every event, and every answer to it, the referee sees."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, vendor: bool) -> None:
        self._socket = socket
        self.referee = Referee(vendor=vendor)
        self.events: list[Event] = []
        self.format = AudioFormat.PCM

    async def send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, **fields}
        self.referee.client(event)
        await self._socket.send_json(event)

    async def until(self, kind: str) -> Event:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event: Event = orjson.loads(await self._socket.receive_str())
                self.events.append(event)
                self.referee.feed(event)
                assert kind == "error" or event["type"] != "error", event
                if event["type"] == kind:
                    return event

    async def configure(self, **audio_input: Any) -> Event:
        await self.send("session.update", session={"type": "realtime", "audio": {"input": audio_input}})
        return await self.until("session.updated")

    async def type(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})

    async def hear(self, pcm: bytes) -> None:
        """Mono s16 at 24 kHz, sent in the format that was agreed on."""
        if self.format is not AudioFormat.PCM:
            pcm = self.format.from_pcm(resample(pcm, RATE_HZ, self.format.rate_hz))
        size = self.format.rate_hz * self.format.sample_bytes // 10
        for start in range(0, len(pcm), size):
            audio = base64.b64encode(pcm[start : start + size]).decode()
            await self.send("input_audio_buffer.append", audio=audio)

    async def say(self, text: str, *, silence_s: float = 1.0) -> None:
        await self.hear(tone_code.encode(text, RATE_HZ) + bytes(int(RATE_HZ * 2 * silence_s)))

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event["type"] == kind]

    def audio(self) -> bytes:
        """All the audio so far, as mono s16."""
        data = b"".join(base64.b64decode(event["delta"]) for event in self.of("response.output_audio.delta"))
        return self.format.to_pcm(data)


@pytest.fixture
def brain() -> ScriptedBrain:
    return ScriptedBrain(BrainOptions(first_token_ms=2, token_ms=1, tokens=12))


@pytest.fixture
async def site(brain: ScriptedBrain) -> AsyncIterator[str]:
    synthesizer = ScriptedSynthesizer(SynthesizerOptions(first_audio_ms=2, speed=100))
    suite = Suite(ScriptedVad(), ScriptedRecognizer(), brain, synthesizer)

    def session(outlet: Outlet, settings: SessionSettings, session_id: str) -> Session:
        return Session(suite, outlet, settings)

    offer = Offer(voices=tuple(voice.name for voice in synthesizer.voices))
    runner = web.AppRunner(make_app(session, offer=lambda: offer), access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/realtime"
    await runner.cleanup()


@asynccontextmanager
async def calling(site: str, query: str = "") -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as http, http.ws_connect(site + query) as socket:
        caller = Caller(socket, vendor="events=antiphon" in query)
        await caller.until("session.created")
        yield caller
        caller.referee.finish()


async def test_a_typed_turn(site: str) -> None:
    async with calling(site) as caller:
        await caller.type("echo good day")
        await caller.send("response.create", response={"output_modalities": ["text"], "metadata": {"a": "b"}})
        response = (await caller.until("response.done"))["response"]
        assert response["output"][0]["content"] == [{"type": "output_text", "text": "good day"}]
        assert response["metadata"] == {"a": "b"}
        assert response["usage"]["output_tokens"] > 0


@pytest.mark.parametrize("audio_format", list(AudioFormat))
@pytest.mark.parametrize("pacing", ["burst", "realtime"])
async def test_a_spoken_turn(site: str, audio_format: AudioFormat, pacing: str) -> None:
    async with calling(site, f"?pacing={pacing}&events=antiphon") as caller:
        wire = audio_format.wire()
        audio = {"input": {"format": wire, "transcription": {"model": "whisper-1"}}, "output": {"format": wire}}
        await caller.send("session.update", session={"audio": audio})
        await caller.until("session.updated")
        caller.format = audio_format
        await caller.say("echo good day")
        response = (await caller.until("response.done"))["response"]
        assert response["status"] == "completed"
        assert response["output"][0]["content"][0]["transcript"] == "good day"
        (completed,) = caller.of("conversation.item.input_audio_transcription.completed")
        assert completed["transcript"].lower().startswith("echo good day")
        assert "good day" in tone_code.decode(caller.audio(), audio_format.rate_hz)
        own = {kind for event in caller.events if (kind := event["type"]).startswith("antiphon.")}
        assert own == {"antiphon.state", "antiphon.brain", "antiphon.voice", "antiphon.clause", "antiphon.turn"}


@pytest.mark.parametrize("detection", [{"type": "server_vad"}, {"type": "semantic_vad", "eagerness": "high"}])
async def test_turns_follow_each_other(site: str, detection: Event) -> None:
    async with calling(site) as caller:
        await caller.configure(turn_detection=detection, transcription={})
        for words in ("echo one", "echo two", "echo three"):
            await caller.say(words, silence_s=3.0)
            response = (await caller.until("response.done"))["response"]
            assert response["output"][0]["content"][0]["transcript"] == words.removeprefix("echo ")
        assert len(caller.of("input_audio_buffer.committed")) == 3


async def test_a_barge_in(site: str, brain: ScriptedBrain) -> None:
    async with calling(site, "?pacing=realtime") as caller:
        await caller.say("count to 50")
        await caller.until("response.output_audio_transcript.delta")
        await caller.until("response.output_audio.delta")
        await caller.say("echo that will do")
        cancelled = (await caller.until("response.done"))["response"]
        assert cancelled["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
        assert cancelled["output"][0]["status"] == "incomplete"
        next_one = (await caller.until("response.done"))["response"]
        assert next_one["output"][0]["content"][0]["transcript"] == "that will do"
        told = cancelled["output"][0]["content"][0]["transcript"]
        context = [message.text for message in brain.requests[-1].messages if message.role == "assistant"]
        assert all(told.startswith(text.rstrip()) for text in context)


async def test_a_client_that_truncates(site: str, brain: ScriptedBrain) -> None:
    async with calling(site) as caller:
        await caller.type("count to 20")
        await caller.send("response.create")
        item = (await caller.until("response.done"))["response"]["output"][0]
        length_ms = len(samples_of(caller.audio())) * 1000 // RATE_HZ
        await caller.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=10**6)
        # It is cut to the end of the last word, after which there is but a little silence.
        assert abs((await caller.until("conversation.item.truncated"))["audio_end_ms"] - length_ms) < 100
        await caller.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=1000)
        assert (await caller.until("conversation.item.truncated"))["audio_end_ms"] == 1000
        await caller.send("conversation.item.retrieve", item_id=item["id"])
        heard = (await caller.until("conversation.item.retrieved"))["item"]["content"][0]["transcript"]
        assert heard
        assert item["content"][0]["transcript"].startswith(heard)
        assert len(heard) < len(item["content"][0]["transcript"]) / 2


async def test_a_function_call(site: str) -> None:
    async with calling(site) as caller:
        tools = [{"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}]
        await caller.send("session.update", session={"tools": tools})
        await caller.until("session.updated")
        await caller.say('call weather {"at":"ulm"}')
        done = await caller.until("response.function_call_arguments.done")
        assert (done["name"], orjson.loads(done["arguments"])) == ("weather", {"at": "ulm"})
        output = {"type": "function_call_output", "call_id": done["call_id"], "output": "sun"}
        await caller.send("conversation.item.create", item=output)  # before response.done has come
        await caller.until("response.done")
        await caller.send("response.create")
        response = (await caller.until("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "weather says sun"


async def test_manual_turns(site: str) -> None:
    async with calling(site) as caller:
        await caller.configure(turn_detection=None, transcription={})
        await caller.send("input_audio_buffer.commit", event_id="too_early")
        error = (await caller.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "too_early")
        await caller.say("echo by hand")
        await caller.send("input_audio_buffer.commit")
        await caller.until("conversation.item.input_audio_transcription.completed")
        assert not caller.of("response.created")
        await caller.send("response.create")
        response = (await caller.until("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "by hand"
        await caller.hear(bytes(RATE_HZ))
        await caller.send("input_audio_buffer.clear")
        await caller.until("input_audio_buffer.cleared")


async def test_detection_without_answers(site: str) -> None:
    async with calling(site) as caller:
        await caller.configure(turn_detection={"type": "server_vad", "create_response": False}, transcription={})
        await caller.say("echo nobody asked")
        await caller.until("conversation.item.input_audio_transcription.completed")
        assert not caller.of("response.created")


async def test_a_transcription_session(site: str) -> None:
    async with calling(site, "?intent=transcription") as caller:
        await caller.say("echo write this down")
        completed = await caller.until("conversation.item.input_audio_transcription.completed")
        assert "write this down" in completed["transcript"].lower()
        assert not caller.of("response.created")


async def test_a_silent_user_is_asked(site: str) -> None:
    async with calling(site) as caller:
        await caller.configure(turn_detection={"type": "server_vad", "idle_timeout_ms": 1000})
        await caller.say("echo hello", silence_s=0.5)
        await caller.until("response.done")
        quiet = asyncio.create_task(caller.hear(bytes(RATE_HZ * 2 * 2)))
        timeout = await caller.until("input_audio_buffer.timeout_triggered")
        assert timeout["audio_end_ms"] > timeout["audio_start_ms"]
        await caller.until("response.done")
        await quiet


async def test_replies_are_cancelled_and_refused(site: str) -> None:
    async with calling(site) as caller:
        await caller.send("response.cancel", event_id="none")
        error = (await caller.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "none")
        assert error["message"].startswith("Cancellation failed")
        await caller.type("count to 2000")
        await caller.send("response.create")
        await caller.until("response.created")
        await caller.send("response.create", event_id="second")
        error = (await caller.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
        await caller.send("response.create", response={"conversation": "none", "input": [], "metadata": {"side": "1"}})
        await caller.until("response.created")
        assert caller.events[-1]["response"]["conversation_id"] is None
        await caller.send("response.cancel", response_id=caller.of("response.created")[0]["response"]["id"])
        statuses = {(await caller.until("response.done"))["response"]["status"] for _ in range(2)}
        assert statuses == {"cancelled", "completed"}


async def test_items_come_and_go(site: str) -> None:
    async with calling(site) as caller:
        item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
        await caller.send("conversation.item.create", item=item)
        assert (await caller.until("conversation.item.done"))["item"]["id"] == "mine"
        await caller.send("conversation.item.create", item=item, event_id="again")
        assert (await caller.until("error"))["error"]["code"] == "item_create_duplicate_item_id"
        front = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]}
        await caller.send("conversation.item.create", item=front, previous_item_id="root")
        assert (await caller.until("conversation.item.added"))["previous_item_id"] is None
        await caller.until("conversation.item.done")
        await caller.send("conversation.item.retrieve", item_id="mine")
        assert (await caller.until("conversation.item.retrieved"))["item"]["content"][0]["text"] == "Hi"
        await caller.send("conversation.item.delete", item_id="mine")
        await caller.until("conversation.item.deleted")
        await caller.send("conversation.item.retrieve", item_id="mine", event_id="gone")
        error = (await caller.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("item_retrieve_invalid_item_id", "gone")


async def test_spoken_items(site: str) -> None:
    async with calling(site) as caller:
        audio = base64.b64encode(tone_code.encode("echo from a file", RATE_HZ)).decode()
        content = [{"type": "input_audio", "audio": audio}]
        await caller.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await caller.send("response.create")
        response = (await caller.until("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "from a file"


async def test_a_users_audio_can_be_fetched_back(site: str) -> None:
    async with calling(site) as caller:
        await caller.say("echo remember me")
        await caller.until("response.done")
        item = caller.of("input_audio_buffer.committed")[0]["item_id"]
        await caller.send("conversation.item.retrieve", item_id=item)
        content = (await caller.until("conversation.item.retrieved"))["item"]["content"][0]
        assert "remember me" in tone_code.decode(base64.b64decode(content["audio"]), RATE_HZ)


async def test_a_limit_of_tokens(site: str) -> None:
    async with calling(site) as caller:
        await caller.type("count to 50")
        await caller.send("response.create", response={"max_output_tokens": 5})
        response = (await caller.until("response.done"))["response"]
        assert response["status"] == "incomplete"
        assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert response["max_output_tokens"] == 5


async def test_a_context_of_the_clients_choice(site: str, brain: ScriptedBrain) -> None:
    async with calling(site) as caller:
        item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "echo I"}]}
        await caller.send("conversation.item.create", item=item)
        await caller.type("echo not this")
        reference = {"type": "item_reference", "id": "mine"}
        await caller.send("response.create", response={"conversation": "none", "input": [reference]})
        response = (await caller.until("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "I"
        assert [message.text for message in brain.requests[-1].messages] == ["echo I"]
        await caller.send("response.create", response={"input": [{**reference, "id": "other"}]}, event_id="e1")
        assert (await caller.until("error"))["error"]["event_id"] == "e1"
