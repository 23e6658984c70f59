"""openai-agents (Python), unmodified: a realtime agent with a tool, by text and by voice, interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import function_tool
from agents.realtime import (
    OpenAIRealtimeWebSocketModel,
    RealtimeAgent,
    RealtimeRunner,
    RealtimeSession,
    RealtimeSessionEvent,
)
from tests.e2e.conftest import Ask
from tests.e2e.event_log import PATIENCE_S, EventLog
from tests.e2e.listening import loudness, words_in_common
from tests.e2e.microphone import Microphone
from tests.e2e.omission import Scenario, check_each_is_missed
from tests.e2e.wiretap import Wiretap

LONG = "What can you do?"


@function_tool
def get_weather(city: str) -> str:
    """Get the current weather in a city.

    Args:
        city: The name of the city.
    """
    return f"It is cloudy in {city}."


class Talk:
    """A running session, its events kept, and its history as the SDK last told it."""

    def __init__(self, session: RealtimeSession, patience_s: float) -> None:
        self.session = session
        self.events: EventLog[RealtimeSessionEvent] = EventLog(patience_s)
        self.history: list[Any] = []

    async def follow(self) -> None:
        async for event in self.session:
            if event.type == "history_updated":
                self.history = event.history
            elif event.type == "history_added":
                self.history = [*self.history, event.item]
            if event.type == "error":
                self.events.fail(AssertionError(f"the session reports an error: {event.error}"))
            self.events.add(event)

    async def until(self, kind: str, *, since: int = 0) -> Any:
        return await self.events.wait_for(kind, lambda e: e.type == kind, since=since)

    async def until_history(self, what: str, matches: Callable[[Any], Any], *, since: int = 0) -> Any:
        """The item of the history that first matches."""

        def item(event: RealtimeSessionEvent) -> Any:
            items = event.history if event.type == "history_updated" else []
            if event.type == "history_added":
                items = [event.item]
            return next((i for i in items if i.type == "message" and matches(i)), None)

        found = await self.events.wait_for(what, item, since=since)
        return item(found)

    def audio(self, since: int = 0) -> bytes:
        return b"".join(e.audio.data for e in self.events.entries[since:] if e.type == "audio")


def said(item: Any) -> str:
    """All that an item of the history says."""
    parts = [getattr(part, "transcript", None) or getattr(part, "text", None) or "" for part in item.content]
    return " ".join(parts)


@asynccontextmanager
async def talking(tap: Wiretap, patience_s: float = PATIENCE_S) -> AsyncIterator[Talk]:
    agent = RealtimeAgent(name="Assistant", instructions="Be brief.", tools=[get_weather])
    runner = RealtimeRunner(agent, model=OpenAIRealtimeWebSocketModel())
    session = await runner.run(model_config={"url": f"{tap.ws_url}?model=antiphon", "api_key": "none"})
    async with session:
        talk = Talk(session, patience_s)
        follower = asyncio.create_task(talk.follow())
        try:
            yield talk
        finally:
            follower.cancel()
            await asyncio.gather(follower, return_exceptions=True)


async def test_a_conversation_in_speech(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, talking(tap) as talk, Microphone(talk.session.send_audio) as microphone:
        await microphone.say(ask("My name is Peter."))
        await talk.until_history("transcript", lambda i: words_in_common(said(i), "my name is Peter") > 0.7)
        await talk.until("agent_end")
        assert loudness(talk.audio()) > 100

        since = talk.events.mark()
        await microphone.say(ask("What is my name?"))
        await talk.until_history("question", lambda i: words_in_common(said(i), "what is my name") > 0.7, since=since)
        await talk.until_history("answer", lambda i: i.role == "assistant" and "Peter" in said(i), since=since)
        await talk.until("agent_end", since=since)


async def test_barge_in(server: str, ask: Ask) -> None:
    async with Wiretap(server) as tap, talking(tap) as talk, Microphone(talk.session.send_audio) as microphone:
        await talk.session.send_message(LONG)
        await talk.until("audio_end")
        reply = next(item for item in talk.history if item.type == "message" and item.role == "assistant")
        whole = await talk.until_history("the whole reply", lambda i: i.item_id == reply.item_id and said(i))

        since = talk.events.mark()
        await microphone.say(ask("What is the capital of France?"))
        interrupted = await talk.until("audio_interrupted", since=since)
        assert interrupted.item_id == reply.item_id
        [truncate] = tap.sent("conversation.item.truncate")
        assert truncate["item_id"] == reply.item_id
        cut = await talk.until_history(
            "the reply cut to what was heard",
            lambda i: i.item_id == reply.item_id and len(said(i)) < 0.8 * len(said(whole)),
            since=since,
        )
        assert said(whole).startswith(said(cut))
        await talk.until_history("answer", lambda i: i.role == "assistant" and "Paris" in said(i), since=since)
        await talk.until("agent_end", since=since)


async def typed_turn(tap: Wiretap, patience_s: float = PATIENCE_S) -> None:
    async with talking(tap, patience_s) as talk:
        await talk.session.send_message("What is the capital of France?")
        await talk.until("agent_start")
        await talk.until_history("question", lambda i: i.role == "user" and "capital of France" in said(i))
        answer = await talk.until_history("answer", lambda i: i.role == "assistant" and "Paris" in said(i))
        await talk.until_history("end", lambda i: i.item_id == answer.item_id and i.status == "completed")
        await talk.until("audio_end")
        await talk.until("agent_end")
        assert loudness(talk.audio()) > 100


async def tool_call(tap: Wiretap, patience_s: float = PATIENCE_S) -> None:
    async with talking(tap, patience_s) as talk:
        await talk.session.send_message("What is the weather in Paris?")
        started = await talk.until("tool_start")
        assert started.tool.name == "get_weather"
        ended = await talk.until("tool_end")
        assert ended.output == "It is cloudy in Paris."
        await talk.until_history("answer", lambda i: i.role == "assistant" and "cloudy" in said(i))


@pytest.mark.parametrize("scenario", [typed_turn, tool_call])
async def test_scenario(server: str, scenario: Callable[..., Awaitable[None]]) -> None:
    async with Wiretap(server) as tap:
        await scenario(tap)


async def test_a_missing_event_is_noticed(server: str) -> None:
    cases: list[tuple[Scenario, str]] = [
        (typed_turn, "conversation.item.added"),
        (typed_turn, "response.created"),
        (typed_turn, "response.output_audio.delta"),
        (typed_turn, "response.output_audio.done"),
        (typed_turn, "response.output_item.done"),
        (typed_turn, "response.done"),
        (tool_call, "response.output_item.done"),
        (tool_call, "response.done"),
    ]
    await check_each_is_missed(server, cases)
