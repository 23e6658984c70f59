"""A brain that answers by rule, and counts where there is no rule."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines import tone_code
from antiphon.engines.scripted.engine import ScriptedEngine
from antiphon.engines.scripted.options import Failures, Options
from antiphon.errors import EngineError

_UNITS = "one two three four five six seven eight nine"
_TEENS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
NUMBERS = (
    *_UNITS.split(),
    *_TEENS.split(),
    *(ten + tail for ten in _TENS.split() for tail in ("", *("-" + unit for unit in _UNITS.split()))),
)
"""The words from one to ninety-nine."""


def count_to(last: int) -> str:
    """The numbers as an answer: every fifth has a comma, every tenth a full stop. After ninety-nine comes one."""
    words = [NUMBERS[i % len(NUMBERS)] + ("." if i % 10 == 9 else "," if i % 5 == 4 else "") for i in range(last)]
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class BrainOptions(Options):
    first_token_ms: float = 50.0
    token_ms: float = 20.0
    tokens: int = 60
    """How many words an answer has where the user does not say."""
    fail_after: int = 0
    """How many tokens a failing answer gives before it fails."""
    hears: int = 0
    """1: it takes what the user said as audio, and reads the tone code in it."""


def _words_with_spaces(text: str) -> Iterator[str]:
    for i, word in enumerate(text.split()):
        yield word if i == 0 else " " + word


@dataclass(frozen=True, slots=True)
class _Answer:
    text: str = ""
    call: tuple[str, str] | None = None
    """A function's name and its arguments."""


class ScriptedBrain(ScriptedEngine):
    """Answers by rule, a word a token, and from the request alone:

    - after a function's result, ``NAME says RESULT``;
    - to ``call NAME {json}``, a call of that function (``{}`` where none is given);
    - to ``echo TEXT``, the text;
    - to ``repeat``, the words of its own last answer as they stand in the context;
    - to ``count to N``, the numbers;
    - to anything else the next of ``answers`` (by the number of user messages in the request) or, if there are none,
      the numbers up to ``tokens``.
    """

    stage = "brain"

    def __init__(self, options: BrainOptions | None = None, answers: Sequence[str] = ()) -> None:
        self._options = options or BrainOptions()
        self._answers = tuple(answers)
        self._failures = Failures(self._options)
        self.requests: deque[BrainRequest] = deque(maxlen=64)
        """The latest requests, for tests to read."""
        self.running = 0
        """How many answers are being given."""

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(BrainOptions.parse(options))

    @property
    def hears(self) -> bool:
        return bool(self._options.hears)

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        self.requests.append(request)
        fails_after = self._options.fail_after if self._failures.next_job() else None
        messages = tuple(map(_heard, request.messages)) if self.hears else request.messages
        answer = _Answer(messages[-1].text) if request.transcribe else self._answer(messages)
        limit = request.max_output_tokens
        self.running += 1
        try:
            await asyncio.sleep(self._options.first_token_ms / 1000)
            given = 0
            for given, delta in enumerate(_deltas(answer, call_id=f"call_{len(request.messages)}")):
                if given == fails_after:
                    break
                if given == limit:
                    yield Finish("length", _count(request.messages), given)
                    return
                if given:
                    await asyncio.sleep(self._options.token_ms / 1000)
                yield delta
            if fails_after is not None:
                raise EngineError("the scripted brain fails here, as it was told to")
            reason = "stop" if answer.call is None else "tool_calls"
            yield Finish(reason, _count(request.messages), given + 1)
        finally:
            self.running -= 1

    def _answer(self, messages: Sequence[Message]) -> _Answer:
        last = messages[-1] if messages else Message("user")
        if last.role == "tool":
            names = {m.call_id: m.name for m in messages if m.role == "assistant" and m.name}
            return _Answer(f"{names.get(last.call_id, 'nobody')} says {last.text}")
        users = [m.text for m in messages if m.role == "user"]
        verb, _, rest = (users[-1] if users else "").strip().partition(" ")
        match verb.lower().strip(".,!?"):
            case "call" if rest:
                name, _, arguments = rest.partition(" ")
                return _Answer(call=(name.strip(".,!?"), arguments or "{}"))
            case "echo":
                return _Answer(rest)
            case "repeat":
                own = [m.text for m in messages if m.role == "assistant" and m.text]
                return _Answer(own[-1] if own else "nothing")
            case "count" if rest.lower().removeprefix("to ").strip(" .,!?").isdecimal():
                return _Answer(count_to(int(rest.lower().removeprefix("to ").strip(" .,!?"))))
            case _:
                if self._answers:
                    return _Answer(self._answers[(len(users) - 1) % len(self._answers)])
                return _Answer(count_to(self._options.tokens))


def _deltas(answer: _Answer, call_id: str) -> Iterator[BrainDelta]:
    if answer.call is None:
        yield from map(TextDelta, _words_with_spaces(answer.text))
        return
    name, arguments = answer.call
    half = len(arguments) // 2
    yield ToolCallDelta(call_id, name, arguments[:half])
    yield ToolCallDelta(call_id, name, arguments[half:])


def _heard(message: Message) -> Message:
    return replace(message, text=tone_code.decode(message.audio)) if message.audio else message


def _count(messages: Sequence[Message]) -> int:
    return sum(len(message.text.split()) for message in messages)
