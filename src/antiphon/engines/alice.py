"""The embedded brain: A.L.I.C.E., a pattern bot, for machines without a language model.

It keeps nothing between requests. What it knows about a conversation ("my name is Sam") is worked out from the
request's messages, by answering them again; the steps are remembered under a hash of the messages that led to them, so
a conversation that goes on costs one step a turn. The same messages are always answered with the same words.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import sys
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from antiphon.core.segments import untagged
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines.alice_facts import BOT_FACTS
from antiphon.engines.alice_memory import AliceMemory, turns_of
from antiphon.engines.tool_rules import choose_call, spoken_result, was_stopped
from antiphon.errors import EngineError

_log = structlog.get_logger(__name__)

_LEFT_OUT = frozenset({"sex", "drugs", "politics", "religion", "primeminister"})
"""Pattern files that are not for every listener, or that hold opinions as facts."""


class AliceBrain:
    """The Brain over A.L.I.C.E. All its work is done in one thread."""

    def __init__(self, *, cache_folder: Path | None = None) -> None:
        """``cache_folder`` is where the parsed patterns are kept; without it, in the platform's cache folder."""
        self._cache_folder = cache_folder or _platform_cache_folder()
        self._executor = ThreadPoolExecutor(1, "alice")
        self._memory: AliceMemory | None = None

    @property
    def name(self) -> str:
        return "alice"

    @property
    def description(self) -> str:
        return (
            "A.L.I.C.E., a bundled pattern bot that understands little; for real answers start a language model here "
            "(Ollama, LM Studio, llama.cpp or vLLM), or name one: --llm URL --model NAME"
        )

    async def load(self) -> None:
        """Raises EngineError when the package is not installed or its files are broken."""
        self._memory = await asyncio.get_running_loop().run_in_executor(self._executor, self._read)

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._memory = None

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        memory = self._memory
        if memory is None:
            raise EngineError("A.L.I.C.E. is not loaded, or was closed: call load() first")
        turns = turns_of(request.messages)
        results = _unspoken_results(request.messages)
        call = None if results else choose_call(request.tools, request.tool_choice, _asked(request.messages))
        if call is not None:
            yield ToolCallDelta(_call_id(request.messages), call.name, call.arguments)
            yield Finish("tool_calls")
            return
        if results:
            text = " ".join(spoken_result(result) for result in results)
        else:
            try:
                job = asyncio.get_running_loop().run_in_executor(self._executor, memory.reply, turns)
            except RuntimeError as error:
                raise EngineError("A.L.I.C.E. was closed while it was asked") from error
            text = await job
        words = re.findall(r"\s*\S+", text)
        limit = request.max_output_tokens or len(words)
        for word in words[:limit]:
            yield TextDelta(word)
        yield Finish("length" if limit < len(words) else "stop", output_tokens=min(limit, len(words)))

    def _read(self) -> AliceMemory:
        try:
            import aiml

            from antiphon.engines.aiml_kernel import load_kernel
        except ImportError as error:
            raise EngineError("A.L.I.C.E. is not installed: run `pip install python-aiml`") from error
        folder = Path(aiml.__file__).parent / "botdata" / "alice"
        files = [file for file in sorted(folder.glob("*.aiml")) if file.stem not in _LEFT_OUT]
        if not files:
            raise EngineError("A.L.I.C.E.'s patterns are missing: reinstall the package python-aiml")
        try:
            own = Path(__file__).with_name("antiphon.aiml")
            kernel, unwritten = load_kernel([*files, own], BOT_FACTS, self._cache_folder)
        except OSError as error:
            raise EngineError(f"A.L.I.C.E.'s patterns cannot be read: {error}") from error
        if unwritten is not None:
            _log.info("patterns_not_cached", reason=str(unwritten), effect="the next start takes as long")
        return AliceMemory(kernel)


def _asked(messages: Sequence[Message]) -> str:
    """What the user has said since the last answer or call of a function: one that runs is not called again."""
    said: list[str] = []
    for message in reversed(messages):
        if message.role == "user":
            said.append(untagged(message.text.strip()))
        elif message.role == "assistant":
            break
    return " ".join(filter(None, reversed(said)))


def _unspoken_results(messages: Sequence[Message]) -> list[str]:
    """What functions returned since the last spoken word, but for those that were stopped."""
    results: list[str] = []
    for message in reversed(messages):
        if message.role == "tool":
            if not was_stopped(message.text):
                results.append(message.text)
        elif message.role != "system" and message.name is None:
            break
    return results[::-1]


def _call_id(messages: Sequence[Message]) -> str:
    """The same for the same messages, so that asking twice is the same call."""
    parts = [f"{message.role}\0{message.text}\0{message.call_id}\0{message.arguments}" for message in messages]
    return "call_" + hashlib.sha256("\1".join(parts).encode("utf-8", "replace")).hexdigest()[:24]


def _platform_cache_folder() -> Path:
    """Where programs of this platform keep what they can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "antiphon"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "antiphon" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon"
