"""llama.cpp's own server with a tiny random model: its slots, and requests that are given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.shell.tiny_gguf import write_gguf
from tests.shell.tiny_llm import WORDS, write_model

from antiphon.engines.llama_server import LlamaServer, TooLongError
from antiphon.engines.model_options import ModelOptions
from antiphon.errors import EngineError

MARKS = 14
"""More than the tokens of the template behind a last message."""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more wait longer for each other than so small a model takes


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = write_model(tmp_path_factory.mktemp("llm") / "llama", "llama")
    return write_gguf(model, model / "tiny.gguf")


@pytest.fixture(params=[2])
async def server(file: Path, request: pytest.FixtureRequest) -> AsyncIterator[LlamaServer]:
    server = LlamaServer("tiny", ModelOptions(context=2048, slots=request.param))
    await server.open(lambda: file)
    yield server
    await server.close()


def one_slot(test: Any) -> Any:
    return pytest.mark.parametrize("server", [1], indirect=True)(test)


def body(text: str, most: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": text}],
        "max_tokens": most,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def usage_of(server: LlamaServer, text: str, most: int = 1) -> tuple[int, int]:
    """How many tokens were written, and how many of the prompt were read anew."""
    usage: dict[str, Any] = {}
    async for chunk in server.ask(body(text, most)):
        usage = chunk.get("usage") or usage
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    return usage["completion_tokens"], usage["prompt_tokens"] - cached


@contextmanager
def counted(server: LlamaServer) -> Iterator[list[asyncio.Event]]:
    """An event for each chunk that the library tells, and one for each request that it ends."""
    library, told, loop = server.library, list[asyncio.Event](), asyncio.get_running_loop()

    class Counted:
        ended = asyncio.Event()

        def handle_chat_completions(self, asked: Any, tell: Any) -> None:
            def count(chunk: Any) -> Any:
                told.append(self.ended)
                return tell(chunk)

            library.handle_chat_completions(asked, count)
            loop.call_soon_threadsafe(self.ended.set)

    server.library = Counted()
    yield told
    server.library = library


async def test_what_is_asked_instead_of_what_was_given_up_goes_where_that_was_read(server: LlamaServer) -> None:
    """The library is still busy with the one that was given up when the other is asked."""
    said = " ".join(WORDS)
    for first in WORDS[:30]:
        async with aclosing(server.ask(body(f"{first} {said}", 300))) as chunks:
            await anext(chunks)
        _, read = await usage_of(server, f"{first} {said} hello")
        assert read < MARKS


@one_slot
async def test_it_stops_within_a_token(server: LlamaServer) -> None:
    with counted(server) as told:
        async with aclosing(server.ask(body("hello", 1500))) as chunks:
            await anext(chunks)
        seen = len(told)
        await told[0].wait()
        assert len(told) <= seen + 1
    assert (await usage_of(server, "hello there", 5))[0] == 5


@one_slot
async def test_one_that_waits_for_a_slot_is_given_up(server: LlamaServer) -> None:
    """Nobody waits for it who could have its place."""
    async with aclosing(server.ask(body("hello", 1000))) as first:
        await anext(first)
        waiting = asyncio.ensure_future(usage_of(server, "and there", 900))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        rest = [chunk async for chunk in first]
        assert rest
    assert (await usage_of(server, "hello there", 5))[0] == 5


async def test_what_it_refuses(server: LlamaServer) -> None:
    with pytest.raises(TooLongError, match="context"):
        await usage_of(server, " ".join(WORDS * 60))
    with pytest.raises(EngineError, match="tiny"):
        async for _ in server.ask({"messages": "nonsense", "stream": True}):
            pass
    assert (await usage_of(server, "hello", 2))[0] == 2


async def test_before_and_after(file: Path) -> None:
    server = LlamaServer("tiny", ModelOptions(context=1024))
    with pytest.raises(EngineError, match="not loaded"):
        await usage_of(server, "hello")
    await server.open(lambda: file)
    await server.open(lambda: file)
    answer = server.ask(body("hello", 900))
    await anext(answer)
    socket = Path(server._folder or "") / "llama.sock"
    assert is_private_socket(socket)
    await server.close()
    with pytest.raises(EngineError, match="closed"):
        async for _ in answer:
            pass
    with pytest.raises(EngineError, match="closed"):
        await usage_of(server, "hello")
    await server.close()
    assert not is_private_socket(socket)


def is_private_socket(path: Path) -> bool:
    return path.is_socket() and not path.parent.stat().st_mode & 0o077


async def test_a_file_that_is_broken(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    server = LlamaServer("tiny", ModelOptions())
    with pytest.raises(EngineError, match=r"broken\.gguf is no model"):
        await server.open(lambda: tmp_path / "broken.gguf")
    await server.close()
