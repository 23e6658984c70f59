"""Deterministic engines with stated times: for simulation, load and comparison. No model, hardly any CPU.

They speak and understand the tones of ``tone_code``. All their waits are the event loop's, so that they run on virtual
time as they do on a wall clock. Each reads its options from ``key=value,key=value``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, Samples
from antiphon.core.speech import (
    AudioChunk,
    BrainDelta,
    BrainRequest,
    Finish,
    Message,
    TextDelta,
    ToolCallDelta,
    Voice,
    Word,
)
from antiphon.engines import tone_code
from antiphon.engines.base import RecognizerStream, Transcript, VadStream, VoiceInfo
from antiphon.engines.script_options import Failures, Options
from antiphon.errors import EngineError

_MS = 1000.0


class _Scripted:
    """What the four have in common."""

    stage: str

    @property
    def name(self) -> str:
        return "scripted:"

    @property
    def description(self) -> str:
        return f"a scripted {self.stage}: stated times and no model, for tests and measurements"

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class VadOptions(Options):
    rms: float = 300.0
    """The level at which the probability is 0.5."""


class _VadStream:
    def __init__(self, rms: float, on_probability: Callable[[float], None]) -> None:
        self._power = rms * rms
        self._tell = on_probability

    def push(self, window: Samples) -> None:
        signal = window.astype(np.float32)
        power = float(signal @ signal) / len(signal)
        self._tell(power / (power + self._power))

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


class ScriptedVad(_Scripted):
    """Speech is what is loud. It answers at once, inside ``push``."""

    stage = "voice activity detector"

    def __init__(self, options: VadOptions | None = None) -> None:
        self._options = options or VadOptions()

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(VadOptions.parse(options))

    def open(self, on_probability: Callable[[float], None]) -> VadStream:
        return _VadStream(self._options.rms, on_probability)


@dataclass(frozen=True, slots=True)
class RecognizerOptions(Options):
    final_ms: float = 0.0
    """How long a final takes."""
    partial_every_ms: float = 100.0
    """How much audio is fed between two looks at it."""


class _RecognizerStream:
    def __init__(self, options: RecognizerOptions, failures: Failures, on_partial: Callable[[str], None]) -> None:
        self._options = options
        self._failures = failures
        self._tell = on_partial
        self._decoder = tone_code.Decoder()
        self._partial_bytes = int(options.partial_every_ms * EAR_RATE_HZ / _MS) * 2
        self._unheard = bytearray()
        self._told = ""
        self._finals: set[asyncio.Future[None]] = set()

    def feed(self, pcm: bytes) -> None:
        self._unheard += pcm
        if len(self._unheard) >= self._partial_bytes:
            self._listen()
            if self._decoder.whole_words != self._told:
                self._told = self._decoder.whole_words
                self._tell(self._told)

    def _listen(self) -> None:
        self._decoder.push(bytes(self._unheard))
        self._unheard.clear()

    async def final(self) -> Transcript:
        self._listen()
        text = self._decoder.text
        fails = self._failures.next_job()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._finals.add(done)
        timer = loop.call_later(self._options.final_ms / _MS, _settle, done)
        try:
            await done
        finally:
            timer.cancel()
            self._finals.discard(done)
        if fails:
            raise EngineError("the scripted recognizer fails here, as it was told to")
        return Transcript(text)

    def close(self) -> None:
        self._tell = _tell_nobody
        for final in self._finals:
            final.cancel()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _tell_nobody(_text: str) -> None:
    pass


class ScriptedRecognizer(_Scripted):
    """Reads the tone code. A partial is told when a further word is whole."""

    stage = "recognizer"

    def __init__(self, options: RecognizerOptions | None = None) -> None:
        self._options = options or RecognizerOptions()
        self._failures = Failures(self._options)

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(RecognizerOptions.parse(options))

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        return _RecognizerStream(self._options, self._failures, on_partial)


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


class ScriptedBrain(_Scripted):
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
            await asyncio.sleep(self._options.first_token_ms / _MS)
            given = 0
            for given, delta in enumerate(_deltas(answer, call_id=f"call_{len(request.messages)}")):
                if given == fails_after:
                    break
                if given == limit:
                    yield Finish("length", _count(request.messages), given)
                    return
                if given:
                    await asyncio.sleep(self._options.token_ms / _MS)
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


@dataclass(frozen=True, slots=True)
class SynthesizerOptions(Options):
    first_audio_ms: float = 40.0
    speed: float = 10.0
    """How many seconds of audio it makes in a second."""
    symbol_ms: int = tone_code.SYMBOL_MS
    word_times: int = 1
    """0: it does not tell when its words sound."""
    repeatable: int = 1
    """0: its voices do not count as repeatable."""
    takes_words: int = 0
    """1: its voices count as ones that take words."""


_VOICES = {"alpha": 8000, "beta": 3000}
"""The voices differ in loudness, by which a test can tell them apart."""


class ScriptedSynthesizer(_Scripted):
    """Speaks the tone code, a word a chunk, so that what was heard can be read from the audio.

    After each segment it says one space. A pace between 0.75 and 1.3 changes the length of the symbols; a faster or
    slower one counts as these, since the code bears no more.
    """

    stage = "synthesizer"

    def __init__(self, options: SynthesizerOptions | None = None) -> None:
        self._options = options or SynthesizerOptions()
        self._failures = Failures(self._options)
        self.running = 0
        """How many streams are being spoken."""

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(SynthesizerOptions.parse(options))

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        repeatable, takes_words = bool(self._options.repeatable), bool(self._options.takes_words)
        return tuple(VoiceInfo(name, "en", repeatable, is_speech=False, takes_words=takes_words) for name in _VOICES)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        speech = _Speech(
            symbol_ms=round(self._options.symbol_ms / min(1.3, max(0.75, voice.speed))),
            amplitude=_VOICES.get(voice.name, _VOICES["alpha"]),
        )
        segment = 0
        self.running += 1
        try:
            async for piece in text:
                fails = self._failures.next_job()
                began = asyncio.get_running_loop().time() + self._options.first_audio_ms / _MS
                made_s = 0.0
                for chunk in speech.chunks(piece, segment):
                    await self._sleep_until(began + made_s / self._options.speed)
                    if fails:
                        raise EngineError("the scripted synthesizer fails here, as it was told to")
                    made_s += len(chunk.pcm) / 2 / MOUTH_RATE_HZ
                    yield chunk if self._options.word_times else AudioChunk(chunk.pcm, segment, last=chunk.last)
                segment += 1
        finally:
            self.running -= 1

    @staticmethod
    async def _sleep_until(time_s: float) -> None:
        wait_s = time_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)


@dataclass(slots=True)
class _Speech:
    symbol_ms: int
    amplitude: int
    _samples: int = field(init=False)

    def __post_init__(self) -> None:
        self._samples = len(self._say("a")) // 2

    def _say(self, text: str) -> bytes:
        return tone_code.encode(text, MOUTH_RATE_HZ, symbol_ms=self.symbol_ms, amplitude=self.amplitude)

    def chunks(self, piece: str, segment: int) -> Iterator[AudioChunk]:
        """One chunk a word, with the space after it. A piece without words is one chunk without audio."""
        words = piece.split()
        if not words:
            yield AudioChunk(b"", segment, last=True)
        char, sample = 0, 0
        for i, word in enumerate(words):
            char = piece.index(word, char)
            pcm = self._say(word + " ")
            end = sample + len(pcm) // 2 - self._samples
            yield AudioChunk(pcm, segment, (Word(char, char + len(word), sample, end),), last=i == len(words) - 1)
            char += len(word)
            sample = end + self._samples
