"""The small Protocols behind which every engine stands, one file each.

An engine is loaded once and shared by all sessions; what belongs to one session is a stream. All of them are
called from the event loop and never block it: model work runs in threads of the engine's own, or elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from antiphon.audio import Samples
from antiphon.core.speech import AudioChunk, BrainDelta, BrainRequest, Voice
from antiphon.core.who import HeardVoice

VAD_WINDOW_SAMPLES = 512
"""32 ms at 16 kHz, the window of Silero."""


@runtime_checkable
class Engine(Protocol):
    """What all engines have in common."""

    @property
    def name(self) -> str:
        """``engine:model``, as a user writes it on the command line."""
        ...

    @property
    def description(self) -> str:
        """One line for people: what answers, and how to get a better one if this is a fallback."""
        ...

    async def load(self) -> None:
        """Loads and warms the models, off the event loop. Raises EngineError with what to do."""
        ...

    async def close(self) -> None:
        """Stops all work and frees the models. May be called twice, and without load()."""
        ...


class VadStream(Protocol):
    """Voice activity of one stream."""

    def push(self, window: Samples) -> None:
        """Takes exactly ``VAD_WINDOW_SAMPLES`` int16 samples at 16 kHz; owns them from now on.

        The answer comes by the stream's callback, in the event loop, in the order of the windows.
        """
        ...

    def reset(self) -> None:
        """Forgets the past, as if the stream were new. Answers under way still come."""
        ...

    def close(self) -> None:
        """No callback comes after this returns."""
        ...


class Vad(Engine, Protocol):
    """Tells speech from silence, one model for any number of streams."""

    def open(self, on_probability: Callable[[float], None]) -> VadStream:
        """A stream; ``on_probability`` is called once for each window, with the probability of speech in it."""
        ...


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A recognized word and its time in ms from the start of the turn's audio."""

    text: str
    start_ms: int
    end_ms: int
    speaker: str | None = None
    """Who said it, where the recognizer itself tells speakers apart: the same name all through a session."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was recognized in a turn. ``words`` are those of ``text`` in order, or none where there are no times."""

    text: str
    words: tuple[HeardWord, ...] = ()

    @property
    def speaker(self) -> str | None:
        """Who said most of its words, where the recognizer tells speakers apart."""
        names = [word.speaker for word in self.words if word.speaker is not None]
        return max(dict.fromkeys(names), key=names.count, default=None)


class RecognizerStream(Protocol):
    """The recognition of one turn of the user."""

    def feed(self, pcm: bytes) -> None:
        """Takes mono s16 at 16 kHz, any even length. Bounded: a stream fed over ``max_turn_s`` drops the rest."""
        ...

    async def final(self) -> Transcript:
        """Recognizes all audio fed until now. More may be fed after it, and another final asked for.

        A newer call makes an older one that is still running worthless: that one may be cancelled.
        Raises EngineError.
        """
        ...

    def close(self) -> None:
        """Frees the stream. No partial comes after this returns; a running final() raises CancelledError."""
        ...


class Recognizer(Engine, Protocol):
    """Writes down what the user says, one model for any number of turns at a time."""

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        """A stream for one turn. ``on_partial`` gets the whole text so far, in the event loop, as it changes."""
        ...


SPEAKER_WINDOW_MS = 10_000
"""So much audio a speaker model listens to at a time."""


class SpeakerModel(Engine, Protocol):
    """Tells voices apart. Whose they are is not its business."""

    async def voices(self, pcm: bytes, from_ms: int = 0) -> tuple[HeardVoice, ...]:
        """The voices in up to ``SPEAKER_WINDOW_MS`` of mono s16 at 16 kHz, and where each of them sounds.

        What each is like is told from what lies after ``from_ms``; the audio before that only helps to follow a voice
        on. Raises EngineError.
        """
        ...


class Brain(Engine, Protocol):
    """A language model: the conversation so far in, an answer in text and calls of functions out."""

    def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        """Answers. Closing the generator stops the work, at the server too. Exactly one Finish, at the end.

        It keeps no state between calls that a reply thrown away could change: what it answers depends on the
        request alone. Raises EngineError.
        """
        ...


@dataclass(frozen=True, slots=True)
class VoiceInfo:
    """A voice on offer: ``name`` within the engine, BCP 47 ``language``.

    ``repeatable``: it says the same text at the same times each time, in any process, to within some milliseconds.
    ``takes_words``: two words alone sound as in the midst of a sentence, so that a reply may begin with them.
    """

    name: str
    language: str
    repeatable: bool = False
    loudness_lufs: float | None = None
    """How loud the engine makes it (ITU-R BS.1770), where that is known beforehand."""
    is_speech: bool = True
    """Speech, which may be brought to another loudness; False for sounds whose level is part of what they say."""
    version: str = ""
    """Changes with the voice, where a voice can change under the same name."""
    takes_words: bool = False


class Synthesizer(Engine, Protocol):
    """Speaks. What comes out is mono s16 at 48 kHz, whatever rate the model has (``core.speech.AudioChunk``)."""

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        """What can be asked for; the first is the default. Known once loaded."""
        ...

    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        """Speaks each piece of ``text`` as a segment, in order, the first audio before the first piece is done.

        The last chunk of a segment never waits for the next piece, since that is given when the segment was taken.
        Closing the generator stops the work within some tens of milliseconds. Raises EngineError; a retryable one
        means that the voice is not to be had at the moment, and another may go on in its place.
        """
        ...
