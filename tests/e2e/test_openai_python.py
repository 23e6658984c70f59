"""openai-python, unmodified, in full conversations with real speech."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection, RealtimeConnection
from tests.e2e.conftest import Ask
from tests.e2e.event_log import PATIENCE_S, EventLog
from tests.e2e.listening import loudness, words_in_common
from tests.e2e.microphone import Microphone
from tests.e2e.omission import Scenario, check_each_is_missed
from tests.e2e.wiretap import Wiretap

from antiphon.audio import bytes_to_ms

RATE_HZ = 24_000
LONG = "What can you do?"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The name of the city"}},
        "required": ["city"],
    },
}
HEARING = {
    "transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 500},
}


class Call:
    """A connection of the SDK whose events are kept as they come."""

    def __init__(self, connection: AsyncRealtimeConnection, patience_s: float) -> None:
        self.connection = connection
        self.events: EventLog[Any] = EventLog(patience_s)

    async def listen(self) -> None:
        async for event in self.connection:
            self.events.add(event)
            if event.type == "error":
                self.events.fail(AssertionError(f"the client was told of an error: {event.error}"))

    async def until(self, kind: str, matches: Callable[[Any], Any] = lambda e: True, *, since: int = 0) -> Any:
        return await self.events.wait_for(kind, lambda e: e.type == kind and matches(e), since=since)

    async def hear(self, audio: bytes) -> None:
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(audio).decode())

    async def type(self, text: str) -> None:
        await self.connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        )
        await self.connection.response.create()

    async def reply(self, since: int) -> Reply:
        """The next whole reply, put together from its deltas."""
        done = (await self.until("response.done", since=since)).response
        mine = [e for e in self.events.entries[since:] if getattr(e, "response_id", None) == done.id]
        return Reply(
            response=done,
            pcm=b"".join(base64.b64decode(e.delta) for e in mine if e.type == "response.output_audio.delta"),
            transcript="".join(e.delta for e in mine if e.type == "response.output_audio_transcript.delta"),
            text="".join(e.delta for e in mine if e.type == "response.output_text.delta"),
            kinds=[e.type for e in mine],
        )


class Reply:
    def __init__(self, response: Any, pcm: bytes, transcript: str, text: str, kinds: list[str]) -> None:
        self.response = response
        self.pcm = pcm
        self.transcript = transcript
        self.text = text
        self.kinds = kinds


@asynccontextmanager
async def calling(tap: Wiretap, patience_s: float = PATIENCE_S, **query: str) -> AsyncIterator[Call]:
    client = AsyncOpenAI(api_key="none", base_url=tap.base_url)
    async with client, client.realtime.connect(model="antiphon", extra_query=query) as connection:
        call = Call(connection, patience_s)
        listener = asyncio.create_task(call.listen())
        try:
            created = await call.until("session.created")
            assert created.session.type == "realtime"
            yield call
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)


async def configure(call: Call, **session: Any) -> Any:
    since = call.events.mark()
    update: Any = {"type": "realtime", **session}
    await call.connection.session.update(session=update)
    return (await call.until("session.updated", since=since)).session


async def test_a_conversation_in_speech(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, calling(tap) as call, Microphone(call.hear) as microphone:
        session = await configure(call, instructions="Be brief.", audio={"input": HEARING})
        assert session.audio.input.turn_detection.silence_duration_ms == 500
        assert session.audio.input.turn_detection.interrupt_response is True

        await microphone.say(ask("My name is Peter."))
        transcript = await call.until("conversation.item.input_audio_transcription.completed")
        assert words_in_common(transcript.transcript, "my name is Peter") > 0.7
        reply = await call.reply(since=0)
        assert reply.response.status == "completed"
        assert loudness(reply.pcm) > 100, "the reply cannot be heard"
        assert 200 < bytes_to_ms(len(reply.pcm), RATE_HZ) / max(1, len(reply.transcript.split())) < 1500

        since = call.events.mark()
        await microphone.say(ask("What is my name?"))
        reply = await call.reply(since=since)
        assert "Peter" in reply.transcript, "the second answer does not depend on the first turn"


async def test_what_is_spoken_is_what_is_written(server: str) -> None:
    """The reply's audio, played back to the server as a user's turn, is heard as the reply's own transcript."""
    async with Wiretap(server) as tap, calling(tap) as call:
        await configure(call, audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
        await call.type("Who is Albert Einstein?")
        reply = await call.reply(since=0)
        await call.hear(reply.pcm)
        await call.connection.input_audio_buffer.commit()
        heard = await call.until("conversation.item.input_audio_transcription.completed")
        assert words_in_common(heard.transcript, reply.transcript) > 0.7


async def typed_turn(tap: Wiretap, patience_s: float = PATIENCE_S) -> None:
    async with calling(tap, patience_s) as call:
        await configure(call, output_modalities=["text"])
        await call.type("What is the capital of France?")
        item = await call.until("conversation.item.done", lambda e: e.item.role == "user")
        assert item.item.content[0].text == "What is the capital of France?"
        added = await call.until("conversation.item.added", lambda e: e.item.role == "assistant")
        opened = await call.until("response.output_item.added")
        closed = await call.until("response.output_item.done")
        assert added.item.id == opened.item.id == closed.item.id
        assert closed.item.status == "completed"
        reply = await call.reply(since=0)
        assert "Paris" in reply.text
        assert reply.response.output[0].content[0].text == reply.text
        assert (await call.until("response.output_text.done")).text == reply.text


async def function_call(tap: Wiretap, patience_s: float = PATIENCE_S) -> None:
    async with calling(tap, patience_s) as call:
        await configure(call, tools=[WEATHER])
        await call.type("What is the weather in Paris?")
        done = await call.until("response.function_call_arguments.done")
        assert done.name == "get_weather"
        assert json.loads(done.arguments)["city"] == "Paris"
        item = await call.until("response.output_item.done", lambda e: e.item.type == "function_call")
        assert (item.item.call_id, item.item.arguments) == (done.call_id, done.arguments)
        await call.until("conversation.item.added", lambda e: e.item.type == "function_call")
        first = await call.reply(since=0)
        assert first.response.output[0].type == "function_call"

        since = call.events.mark()
        await call.connection.conversation.item.create(
            item={
                "type": "function_call_output",
                "call_id": done.call_id,
                "output": json.dumps({"temperature": 21, "sky": "cloudy"}),
            }
        )
        await call.connection.response.create()
        await call.until("conversation.item.added", lambda e: e.item.type == "function_call_output")
        second = await call.reply(since=since)
        assert "cloudy" in second.transcript
        assert loudness(second.pcm) > 100


SCENARIOS = {"typed turn": typed_turn, "function call": function_call}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
async def test_scenario(server: str, scenario: Callable[..., Any]) -> None:
    async with Wiretap(server) as tap:
        await scenario(tap)


async def test_a_missing_event_is_noticed(server: str) -> None:
    cases: list[tuple[Scenario, str]] = [
        (typed_turn, "session.created"),
        (typed_turn, "session.updated"),
        (typed_turn, "conversation.item.added"),
        (typed_turn, "conversation.item.done"),
        (typed_turn, "response.output_item.added"),
        (typed_turn, "response.output_text.delta"),
        (typed_turn, "response.output_text.done"),
        (typed_turn, "response.output_item.done"),
        (typed_turn, "response.done"),
        (function_call, "response.function_call_arguments.done"),
        (function_call, "response.output_audio.delta"),
        (function_call, "response.output_audio_transcript.delta"),
    ]
    await check_each_is_missed(server, cases)


async def test_barge_in_of_a_client_that_plays_by_itself(server: str, ask: Ask) -> None:
    """The reply is sent faster than it plays; the client stops its player and says how much of it was heard."""
    async with Wiretap(server) as tap, calling(tap) as call, Microphone(call.hear) as microphone:
        await configure(call, audio={"input": HEARING})
        await call.type(LONG)
        first = await call.until("response.output_audio.delta")
        began = time.monotonic()
        whole = await call.reply(since=0)
        assert bytes_to_ms(len(whole.pcm), RATE_HZ) > 4000, "the reply is too short to be interrupted"

        since = call.events.mark()
        speech = asyncio.create_task(microphone.say(ask("What is the capital of France?")))
        await call.until("input_audio_buffer.speech_started", since=since)
        heard_ms = int((time.monotonic() - began) * 1000)
        await call.connection.conversation.item.truncate(item_id=first.item_id, content_index=0, audio_end_ms=heard_ms)
        truncated = await call.until("conversation.item.truncated", since=since)
        assert truncated.item_id == first.item_id
        await speech
        reply = await call.reply(since=since)
        assert "Paris" in reply.transcript

        await call.connection.conversation.item.retrieve(item_id=first.item_id)
        item = (await call.until("conversation.item.retrieved", since=since)).item
        kept = item.content[0].transcript
        assert whole.transcript.startswith(kept)
        assert 0 < len(kept) < len(whole.transcript) * 0.8, "the context still holds words that were never heard"


async def test_barge_in_while_the_reply_is_being_sent(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, calling(tap, pacing="realtime") as call, Microphone(call.hear) as microphone:
        await configure(call, audio={"input": HEARING})
        await call.type(LONG)
        await call.until("response.output_audio.delta")
        since = call.events.mark()
        await microphone.say(ask("What is the capital of France?"))
        cut = await call.reply(since=0)
        assert cut.response.status == "cancelled"
        assert cut.response.status_details.reason == "turn_detected"
        assert cut.response.output[0].status == "incomplete"
        reply = await call.reply(since=call.events.entries.index(await call.until("response.done", since=since)) + 1)
        assert "Paris" in reply.transcript


async def test_cancel(server: str) -> None:
    async with Wiretap(server, expected_errors={"response_cancel_not_active"}) as tap, calling(tap) as call:
        await call.type(LONG)
        await call.connection.response.cancel()
        cancelled = await call.reply(since=0)
        assert cancelled.response.status == "cancelled"
        assert cancelled.response.status_details.reason == "client_cancelled"
        await call.connection.response.cancel(event_id="too late")
        error = (await call.until("error")).error
        assert error.code == "response_cancel_not_active"
        assert error.message.startswith("Cancellation failed")
        assert error.event_id == "too late"


async def test_manual_commit(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, calling(tap) as call:
        await configure(call, audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
        await call.hear(ask("What is the capital of France?"))
        await call.connection.input_audio_buffer.commit()
        committed = await call.until("input_audio_buffer.committed")
        heard = await call.until("conversation.item.input_audio_transcription.completed")
        assert heard.item_id == committed.item_id
        assert words_in_common(heard.transcript, "what is the capital of France") > 0.7
        assert not [e for e in call.events.entries if e.type == "response.created"], "a commit asks for no reply"
        await call.connection.response.create()
        assert "Paris" in (await call.reply(since=0)).transcript


async def test_out_of_band(server: str) -> None:
    async with Wiretap(server) as tap, calling(tap) as call:
        await configure(call, output_modalities=["text"])
        await call.connection.response.create(
            response={
                "conversation": "none",
                "metadata": {"purpose": "aside"},
                "output_modalities": ["text"],
                "input": [
                    {
                        "type": "message",
                        "role": "user",
                        "content": [{"type": "input_text", "text": "What is the capital of France?"}],
                    }
                ],
            }
        )
        aside = await call.reply(since=0)
        assert "Paris" in aside.text
        assert aside.response.metadata == {"purpose": "aside"}
        assert aside.response.conversation_id is None
        assert not tap.seen("conversation.item.added", "conversation.item.done")


async def test_retrieve_and_delete(server: str) -> None:
    async with Wiretap(server, expected_errors={"item_retrieve_invalid_item_id"}) as tap, calling(tap) as call:
        await call.connection.conversation.item.create(
            item={
                "id": "item_of_mine",
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "My name is Peter."}],
            }
        )
        await call.connection.conversation.item.retrieve(item_id="item_of_mine")
        assert (await call.until("conversation.item.retrieved")).item.content[0].text == "My name is Peter."
        await call.connection.conversation.item.delete(item_id="item_of_mine")
        assert (await call.until("conversation.item.deleted")).item_id == "item_of_mine"
        await call.connection.conversation.item.retrieve(item_id="item_of_mine", event_id="gone")
        error = (await call.until("error")).error
        assert (error.code, error.event_id) == ("item_retrieve_invalid_item_id", "gone")


def _converse(base_url: str, question: bytes) -> tuple[str, str, str]:
    """A typed turn and a spoken one over the synchronous client: the text, what was heard, what was answered."""
    client = OpenAI(api_key="none", base_url=base_url)
    with client, client.realtime.connect(model="antiphon") as connection:
        hearing: Any = {"type": "realtime", "audio": {"input": HEARING}}
        connection.session.update(session=hearing)
        connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]}
        )
        connection.response.create(response={"output_modalities": ["text"]})
        text = _read(connection, "response.output_text.done").text
        _read(connection, "response.done")
        chunk = RATE_HZ * 2 // 25
        audio = question + bytes(RATE_HZ * 2)
        for start in range(0, len(audio), chunk):
            connection.input_audio_buffer.append(audio=base64.b64encode(audio[start : start + chunk]).decode())
            time.sleep(0.04)  # the pace of a microphone
        heard = _read(connection, "conversation.item.input_audio_transcription.completed").transcript
        answer = _read(connection, "response.output_audio_transcript.done").transcript
        return text, heard, answer


def _read(connection: RealtimeConnection, kind: str) -> Any:
    for event in connection:
        assert event.type != "error", event
        if event.type == kind:
            return event
    raise AssertionError(f"the connection ended before {kind}")


async def test_synchronous_client(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap:
        question = ask("What is the capital of France?")
        async with asyncio.timeout(PATIENCE_S):
            text, heard, answer = await asyncio.to_thread(_converse, tap.base_url, question)
        assert text
        assert words_in_common(heard, "what is the capital of France") > 0.7
        assert "Paris" in answer
