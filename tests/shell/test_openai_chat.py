"""The chat completions brain against real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import pytest
import structlog
from aiohttp import web

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.core.writing import with_speech
from antiphon.engines.openai_chat import TRANSCRIBE, OpenAIChat
from antiphon.engines.optional import hears_audio
from antiphon.errors import EngineError

HELLO = BrainRequest((Message("user", "Hello."),))


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices, **more}


class ChatServer:
    """Answers with ``chunks``; notes the requests and whether the client hung up."""

    def __init__(self) -> None:
        self.chunks: list[dict[str, Any] | str] = []
        self.models: list[str] | None = ["small", "big:latest", "/models/local.gguf"]
        self.requests: list[dict[str, Any]] = []
        self.headers: list[str | None] = []
        self.endless = False
        self.hung_up = asyncio.Event()
        self.answer: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._complete)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    async def _list(self, _request: web.Request) -> web.Response:
        if self.models is None:
            return web.Response(status=404)
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.headers.append(request.headers.get("Authorization"))
        if self.answer is not None:
            return await self.answer(request)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for each in self.chunks:
            text = each if isinstance(each, str) else f"data: {json.dumps(each)}\n\n"
            await response.write(text.encode())
        try:
            while self.endless:
                await response.write(f"data: {json.dumps(chunk({'content': 'on and on '}))}\n\n".encode())
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        await response.write(b"data: [DONE]\n\n")
        return response


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    chat = ChatServer()
    runner = await chat.start()
    yield chat
    await runner.cleanup()


@pytest.fixture
async def brain(server: ChatServer) -> AsyncIterator[OpenAIChat]:
    engine = OpenAIChat(server.url, "small", api_key="secret", first_token_s=10)
    yield engine
    await engine.close()


async def answer(brain: OpenAIChat, request: BrainRequest = HELLO) -> list[BrainDelta]:
    return [delta async for delta in brain.respond(request)]


@pytest.fixture(autouse=True)
def _only_what_is_installed_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other packages of the development environment bring httpx; a user's may have none."""
    monkeypatch.setitem(sys.modules, "httpx", None)


async def test_text_streams_through_with_its_usage(server: ChatServer, brain: OpenAIChat) -> None:
    details = {"cached_tokens": 5}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9, "prompt_tokens_details": details}
    server.chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Good "}),
        chunk({"content": "day."}),
        chunk({}, "stop"),
        chunk(usage=usage),
    ]
    request = BrainRequest((Message("system", "Be brief."), *HELLO.messages), max_output_tokens=50)
    assert await answer(brain, request) == [TextDelta("Good "), TextDelta("day."), Finish("stop", 7, 2, 5)]
    [sent] = server.requests
    assert sent == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello."}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 50,
    }
    assert server.headers == ["Bearer secret"]


async def test_what_was_said_is_sent_as_audio_where_the_model_takes_it(server: ChatServer) -> None:
    server.chunks = [chunk({"content": "Good day."}, "stop")]
    brain = OpenAIChat(server.url, "small", hears=True)
    assert hears_audio(brain)
    said = Message("user", "hello", audio=b"\1\0" * 160)
    assert (await answer(brain, BrainRequest((said,))))[0] == TextDelta("Good day.")
    await answer(brain, BrainRequest((said,), transcribe=True))
    first, second = (request["messages"][0]["content"] for request in server.requests)
    [part] = first
    assert part["type"] == "input_audio"
    assert base64.b64decode(part["input_audio"]["data"]).startswith(b"RIFF")
    assert second == [part, {"type": "text", "text": TRANSCRIBE}]
    await brain.close()


async def test_instructions_open_what_was_said_where_the_server_takes_none_beside_audio(server: ChatServer) -> None:
    async def refuse_system(request: web.Request) -> web.StreamResponse:
        sent = await request.json()
        if sent["messages"][0]["role"] == "system":
            said = "Found system messages at indexes [0] and audio chunks in messages at indexes [1]"
            return web.json_response({"error": {"message": said, "type": "BadRequestError"}}, status=400)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"data: {json.dumps(chunk({'content': 'Good day.'}, 'stop'))}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    server.answer = refuse_system
    brain = OpenAIChat(server.url, "small", hears=True)
    request = BrainRequest((Message("system", "Be kind."), Message("user", audio=b"\1\0" * 160)))
    for _ in range(2):
        assert (await answer(brain, request))[0] == TextDelta("Good day.")
    assert [len(sent["messages"]) for sent in server.requests] == [2, 1, 1], "it is asked for once"
    told, sound = server.requests[-1]["messages"][0]["content"]
    assert (told, sound["type"]) == ({"type": "text", "text": "Be kind."}, "input_audio")
    await brain.close()


async def test_a_cut_answer_says_so(server: ChatServer, brain: OpenAIChat) -> None:
    server.chunks = [chunk({"content": "Good"}, "length")]
    assert await answer(brain) == [TextDelta("Good"), Finish("length")]


async def test_calls_stream_through(server: ChatServer, brain: OpenAIChat) -> None:
    server.chunks = [
        chunk(
            {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]}),
        chunk({"tool_calls": [{"index": 1, "function": {"name": "g"}}]}),
        chunk({}, "tool_calls"),
    ]
    tool = Tool("f", "does f", {"type": "object", "properties": {"x": {"type": "integer"}}})
    *deltas, finish = await answer(brain, BrainRequest(HELLO.messages, (tool,), "required"))
    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert len(calls) == len(deltas)
    assert [(delta.name, delta.arguments) for delta in calls] == [
        ("f", ""),
        ("f", '{"x":'),
        ("f", "1}"),
        ("g", ""),
        ("g", "{}"),
    ]
    assert [delta.call_id for delta in calls[:3]] == ["a"] * 3
    assert calls[3].call_id == calls[4].call_id != "a"
    assert finish == Finish("tool_calls")
    assert server.requests[0]["tool_choice"] == "required"


async def test_thoughts_are_not_answers(server: ChatServer, brain: OpenAIChat) -> None:
    server.chunks = [
        chunk({"reasoning_content": "They greet me."}),
        chunk({"content": "<th"}),
        chunk({"content": "ink>Hm.</think>\n\nHello"}),
        chunk({"content": "."}, "stop"),
    ]
    assert await answer(brain) == [TextDelta("Hello"), TextDelta("."), Finish("stop")]


async def test_closing_the_answer_closes_the_connection(server: ChatServer, brain: OpenAIChat) -> None:
    server.endless = True
    async with aclosing(brain.respond(HELLO)) as deltas:
        assert await anext(deltas) == TextDelta("on and on ")
    await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_cancelling_the_reader_closes_the_connection(server: ChatServer, brain: OpenAIChat) -> None:
    server.endless = True
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(brain.respond(HELLO)) as deltas:
            async for _ in deltas:
                started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_a_server_that_refuses_the_usage_option_is_asked_without(server: ChatServer, brain: OpenAIChat) -> None:
    async def refuse(request: web.Request) -> web.StreamResponse:
        server.answer = None
        return web.json_response({"error": {"message": "unknown field: stream_options"}}, status=400)

    server.answer = refuse
    server.chunks = [chunk({"content": "Yes."}, "stop")]
    assert (await answer(brain))[0] == TextDelta("Yes.")
    await answer(brain)
    assert ["stream_options" in sent for sent in server.requests] == [True, False, False]


REFUSALS = [
    (400, "registry.ollama.ai/library/gemma:2b does not support tools"),
    (400, '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set'),
    (422, "body.tools: extra fields not permitted"),
    (500, "tools param requires --jinja flag"),
]


def refusing_functions(server: ChatServer, status: int, words: str) -> None:
    """Answers what has no functions in it, in any message."""

    async def answer(request: web.Request) -> web.StreamResponse:
        sent = await request.json()
        if "tools" in sent or any("tool_calls" in each or each["role"] == "tool" for each in sent["messages"]):
            return web.json_response({"error": {"message": words, "type": "api_error"}}, status=status)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in server.chunks:
            await response.write(f"data: {json.dumps(piece)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    server.answer = answer


@pytest.mark.parametrize(("status", "words"), REFUSALS)
async def test_speech_is_told_by_tags_where_a_server_takes_no_functions(
    server: ChatServer, brain: OpenAIChat, status: int, words: str
) -> None:
    refusing_functions(server, status, words)
    server.chunks = [chunk({"content": "He greets. <speak>Good day.</speak>"}, "stop")]
    weather = Tool("weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
    called = Message("assistant", call_id="c", name="weather", arguments='{"city": "Rome"}')
    messages = (*HELLO.messages, Message("assistant", "So."), called, Message("tool", "sunny", call_id="c"))
    request = with_speech(BrainRequest(messages, (weather,), max_output_tokens=50))
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            text, _ = await answer(brain, request)
            assert text == TextDelta("He greets. <speak>Good day.</speak>")
    assert ["tools" in sent for sent in server.requests] == [True, False, False, False], "it is asked for once"
    (told,) = (log for log in logs if "functions" in log["event"])
    assert (told["log_level"], told["server"]) == ("warning", server.url)
    system, user, assistant, result = server.requests[-1]["messages"]
    assert '"name": "weather"' in system["content"]
    assert (user["content"], assistant["content"].splitlines()[:2]) == ("Hello.", ["So.", "<tool_call>"])
    assert "sunny" in result["content"]


async def test_other_functions_are_not_given_up_in_silence(server: ChatServer, brain: OpenAIChat) -> None:
    """Nobody reads such an answer for calls in its text."""
    refusing_functions(server, 400, "this model does not support tools")
    for _ in range(2):
        with pytest.raises(EngineError, match="does not support tools"):
            await answer(brain, BrainRequest(HELLO.messages, (Tool("f"),)))


async def test_a_request_that_is_refused_either_way_is_an_error(server: ChatServer, brain: OpenAIChat) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no tool, and no text"}}, status=400)

    server.answer = refuse
    with pytest.raises(EngineError, match="no tool, and no text"):
        await answer(brain, with_speech(HELLO))
    server.answer = None
    server.chunks = [chunk({"content": "Yes."}, "stop")]
    await answer(brain, with_speech(HELLO))
    assert "tools" in server.requests[-1], "nothing was learnt from it"


@pytest.mark.parametrize(
    ("status", "words", "retryable"),
    [
        (400, "refused the request: .*no", False),
        (401, "OPENAI_API_KEY", False),
        (404, "no model 'small'", False),
        (429, "try again later", True),
        (503, "server's own log", True),
    ],
)
async def test_refusals_say_what_to_do(
    server: ChatServer, brain: OpenAIChat, status: int, words: str, retryable: bool
) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no"}}, status=status)

    server.answer = refuse
    with pytest.raises(EngineError, match=words) as caught:
        await answer(brain)
    assert caught.value.retryable is retryable
    assert server.url in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "<html>welcome</html>",
        "data: {not json}\n\n",
        'data: {"hello": 1}\n\n',
        'data: {"choices": [{"delta": 5}]}\n\n',
        "",
    ],
)
async def test_a_malformed_stream_is_an_engine_error(server: ChatServer, brain: OpenAIChat, text: str) -> None:
    server.chunks = [text]
    with pytest.raises(EngineError, match="stream"):
        await answer(brain)


async def test_an_error_in_the_stream_is_an_engine_error(server: ChatServer, brain: OpenAIChat) -> None:
    server.chunks = [chunk({"content": "Well"}), 'data: {"error": {"message": "out of memory"}}\n\n']
    with pytest.raises(EngineError, match="out of memory"):
        await answer(brain)


async def test_a_broken_connection_is_an_engine_error(server: ChatServer, brain: OpenAIChat) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(f"data: {json.dumps(chunk({'content': 'Well'}))}\n\n".encode())
        assert request.transport is not None
        request.transport.close()
        return response

    server.answer = hang_up
    with pytest.raises(EngineError, match="reached") as caught:
        await answer(brain)
    assert caught.value.retryable


async def test_a_silent_server_is_given_up(server: ChatServer) -> None:
    asked = asyncio.Event()

    async def think(_request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.Event().wait()
        raise AssertionError

    server.answer = think
    brain = OpenAIChat(server.url, "small", first_token_s=0.2)
    with pytest.raises(EngineError, match=r"0\.2 s"):
        await answer(brain)
    assert asked.is_set()
    await brain.close()


async def test_nobody_listens() -> None:
    brain = OpenAIChat("http://127.0.0.1:9/v1", "small")
    for attempt in (brain.load(), answer(brain)):
        with pytest.raises(EngineError, match="start the server"):
            await attempt
    await brain.close()
    await brain.close()


@pytest.mark.parametrize(
    ("asked", "found"),
    [(None, "small"), ("small", "small"), ("big", "big:latest"), ("local", "/models/local.gguf")],
)
async def test_the_model_is_looked_up(server: ChatServer, asked: str | None, found: str) -> None:
    brain = OpenAIChat(server.url, asked)
    await brain.load()
    assert brain.name == f"openai:{found}"
    assert found in brain.description
    await brain.close()


async def test_a_model_that_is_not_there_is_told_at_load(server: ChatServer) -> None:
    brain = OpenAIChat(server.url, "huge")
    with pytest.raises(EngineError, match="no model 'huge': it has small"):
        await brain.load()
    await brain.close()


async def test_a_server_without_a_list_is_taken_at_its_word(server: ChatServer) -> None:
    server.models = None
    named, unnamed = OpenAIChat(server.url, "huge"), OpenAIChat(server.url)
    await named.load()
    with pytest.raises(EngineError, match="--model NAME"):
        await unnamed.load()
    await named.close()
    await unnamed.close()
