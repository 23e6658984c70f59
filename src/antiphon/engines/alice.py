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
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from antiphon.core.segments import untagged
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines.tool_rules import choose_call, spoken_result, was_stopped
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from antiphon.engines.aiml_kernel import AimlKernel, Knowledge

_log = structlog.get_logger(__name__)

_LEFT_OUT = frozenset({"sex", "drugs", "politics", "religion", "primeminister"})
"""Pattern files that are not for every listener, or that hold opinions as facts."""

_REMEMBERED_STEPS = 2048
_REPLAYED_TURNS = 100
"""A conversation that is asked about for the first time is worked out from so many of its last turns."""
_HEEDED_SENTENCES, _ANSWERED_SENTENCES = 12, 3
"""Of a long turn all the last sentences are taken in, but only the very last ones answered."""

_NO_ANSWER = "I have no good answer to that. Could you say it in other words?"

# Facts about the speaker that the patterns ask for. "favorite..." and the like have the value of _OTHER_FACTS.
_BOT = {
    "name": "Antiphon",
    "botmaster": "botmaster",
    "master": "the person who runs this server",
    "order": "computer program",
    "genus": "pattern bot",
    "species": "voice agent",
    "kingdom": "machine",
    "phylum": "software",
    "class": "conversation program",
    "family": "electronic brain",
    "etype": "mediator",
    "gender": "genderless",
    "age": "some years",
    "location": "the computer that I run on",
    "city": "this computer",
    "state": "this computer",
    "country": "this computer",
    "birthplace": "a computer",
    "birthday": "the day this server was started",
    "birthdate": "the day this server was started",
    "nationality": "software",
    "language": "English",
    "size": "ninety thousand patterns",
    "vocabulary": "ninety thousand patterns",
    "memory": "this conversation",
    "version": "a pattern bot",
    "os": "this computer's operating system",
    "arch": "this computer",
    "domain": "this server",
    "website": "this server",
    "email": "no address",
    "religion": "no religion",
    "party": "no party",
    "president": "somebody that I do not know of",
    "feelings": "I have no feelings, but I like to be asked.",
    "emotions": "I have no emotions, but I like to be asked.",
    "emotion": "no emotion",
    "feeling": "no feeling",
    "ethics": "I try to be honest.",
    "job": "to talk with people",
    "wear": "nothing but software",
    "looklike": "a computer",
    "hair": "no hair",
    "talkabout": "music, films, food, animals and the planets",
    "forfun": "talk with people",
    "friends": "the people who talk with me",
    "friend": "whoever talks with me",
    "boyfriend": "nobody",
    "girlfriend": "nobody",
    "mother": "nobody",
    "favoritefood": "electricity",
    "favoritecolor": "green",
    "favoritemovie": "one with a talking computer",
    "favoritebook": "a dictionary",
    "favoritesong": "an antiphon",
    "favoriteband": "any choir",
    "kindmusic": "choral music",
    "favoritesubject": "languages",
    "favoriteseason": "winter, when computers stay cool",
    "question": "What would you like to talk about?",
    "favoritequestion": "What would you like to talk about?",
}
_TASTES = """
favoriteactor favoriteactress favoriteartist favoriteauthor favoriteopera favoriteoccupation favoritephilosopher
favoriteshow favoritesport favoritetea favortemovie celebrity celebrities hockeyteam footballteam baseballteam sign
orientation richness Alignment
"""
_COUNTS = "totalclients dailyclients maxclients clients nclients hourlyqueries ndevelopers developers faily build"
_OTHER_FACTS = dict.fromkeys(_TASTES.split(), "nobody and nothing in particular") | dict.fromkeys(
    _COUNTS.split(), "some"
)


class AliceBrain:
    """The Brain over A.L.I.C.E. All its work is done in one thread."""

    def __init__(self, *, cache_folder: Path | None = None) -> None:
        """``cache_folder`` is where the parsed patterns are kept; without it, in the platform's cache folder."""
        self._cache_folder = cache_folder or _platform_cache_folder()
        self._executor = ThreadPoolExecutor(1, "alice")
        self._memory: _Memory | None = None

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

    def _read(self) -> _Memory:
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
            kernel, unwritten = load_kernel([*files, own], _OTHER_FACTS | _BOT, self._cache_folder)
        except OSError as error:
            raise EngineError(f"A.L.I.C.E.'s patterns cannot be read: {error}") from error
        if unwritten is not None:
            _log.info("patterns_not_cached", reason=str(unwritten), effect="the next start takes as long")
        return _Memory(kernel)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the user said, and what was answered and heard; None while it is not answered."""

    user: str
    assistant: str | None


def turns_of(messages: Sequence[Message]) -> list[Exchange]:
    """The spoken turns of a conversation. What follows on what, of the same speaker, is one turn."""
    turns: list[Exchange] = []
    for message in messages:
        text = message.text.strip()
        if message.role == "user" and (text := untagged(text)):
            if turns and turns[-1].assistant is None:
                turns[-1] = Exchange(f"{turns[-1].user} {text}", None)
            else:
                turns.append(Exchange(text, None))
        elif message.role == "assistant" and text:
            last = turns.pop() if turns else Exchange("", None)
            turns.append(Exchange(last.user, text if last.assistant is None else f"{last.assistant} {text}"))
    return turns


class _Memory:
    """What is known after each turn of each conversation, worked out when it is missing. For one thread."""

    def __init__(self, kernel: AimlKernel) -> None:
        self._kernel = kernel
        self._steps: OrderedDict[bytes, Knowledge] = OrderedDict()

    def reply(self, turns: Sequence[Exchange]) -> str:
        """The answer to the last turn, in speakable text; never empty."""
        if not turns:
            turns = [Exchange("ANTIPHON NOBODY SPOKE", None)]
        elif turns[-1].assistant is not None:
            turns = [*turns, Exchange("ANTIPHON GO ON", None)]
        past = turns[:-1]
        keys = [b""]
        for turn in past:
            keys.append(_digest(keys[-1], turn.user, turn.assistant or ""))
        known: Knowledge = {}
        start = max(0, len(past) - _REPLAYED_TURNS)
        for index in range(len(past), start, -1):
            if keys[index] in self._steps:
                self._steps.move_to_end(keys[index])
                known, start = self._steps[keys[index]], index
                break
        for index in range(start, len(past)):
            known = self._step(known, past[index], keys[index])
            self._steps[keys[index + 1]] = known
            if len(self._steps) > _REMEMBERED_STEPS:
                self._steps.popitem(last=False)
        return self._answer(known, turns[-1].user, keys[-1])[0] or _NO_ANSWER

    def _step(self, known: Knowledge, turn: Exchange, key: bytes) -> Knowledge:
        said, known = self._answer(known, turn.user, key)
        heard = turn.assistant or ""
        # Patterns that follow up on the reply match its last sentence as the user heard it.
        return known if heard == said else self._kernel.with_last_reply(known, (_sentences(heard) or [""])[-1])

    def _answer(self, known: Knowledge, user: str, key: bytes) -> tuple[str, Knowledge]:
        seed = int.from_bytes(_digest(key, user, "")[:8])
        replies: list[str] = []
        for number, sentence in enumerate(_sentences(user)[-_HEEDED_SENTENCES:]):
            reply, known = self._kernel.answer(sentence, known, seed + number)
            reply = speakable(reply)
            if reply and reply not in replies:
                replies.append(reply)
        return " ".join(replies[-_ANSWERED_SENTENCES:]), known


def _sentences(text: str) -> list[str]:
    """Text as the patterns want it: one sentence at a time. "3.5" stays whole."""
    parts = re.split(r"[.!?…]+(?=\s|$)", re.sub(r"\b(Dr|Mr|Mrs|Ms|St)\.", r"\1", text))
    return [part.strip() for part in parts if any(character.isalnum() for character in part)]


_UNSPEAKABLE = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+|[:;]-?[)(DP](?=\s|$)|[*_#<>|\\\[\]{}~^=]+")
_WRITTEN_OUT = ((re.compile(r"\bDr\."), "Doctor"), (re.compile(r"\be\.g\."), "for example"), (re.compile(r"&"), "and"))


def speakable(reply: str) -> str:
    """A reply of the patterns as plain text for a voice: no addresses, smileys and stray marks; a whole sentence."""
    text = _UNSPEAKABLE.sub(" ", reply)
    for pattern, words in _WRITTEN_OUT:
        text = pattern.sub(words, text)
    text = re.sub(r'"\s*([^"]*?)\s*"', r'"\1"', " ".join(text.split()))
    text = re.sub(r"\s+([,.!?;:]|['’](?:s|d|m|ll|re|ve)\b)", r"\1", text)
    text = re.sub(r"[,;:]+(?=[,;:.])|(?<!\.)\.(?=\.(?!\.))", "", text)
    text = text.strip(" ,;:-")
    if not any(character.isalnum() for character in text):
        return ""
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…\"'" else text + "."


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


def _digest(before: bytes, user: str, assistant: str) -> bytes:
    return hashlib.sha256(before + f"{user}\0{assistant}".encode("utf-8", "replace")).digest()


def _platform_cache_folder() -> Path:
    """Where programs of this platform keep what they can make again."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "antiphon"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "antiphon" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon"
