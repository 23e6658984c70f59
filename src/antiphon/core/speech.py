"""Shapes that pass between engines and the core: messages, deltas, audio with word times."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.core.settings import Tool


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the context that a brain answers to.

    ``role`` is ``system``, ``user``, ``assistant`` or ``tool``. An assistant's call of a function has
    ``call_id``, ``name`` and ``arguments`` (a JSON text); a ``tool`` message answers it by ``call_id``.
    ``images`` are data or http URLs. ``audio`` is what the user said, mono s16 at 16 kHz, for brains that hear; the
    ``text`` beside it is what a recognizer made of that, as far as it is known, and for those that do not.
    """

    role: str
    text: str = ""
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    images: tuple[str, ...] = ()
    audio: bytes | None = None


@dataclass(frozen=True, slots=True)
class BrainRequest:
    """What a brain is asked. ``tool_choice`` is that of ``ReplySettings``.

    ``transcribe``: not to answer, but to write down what is said in the audio of the one message that there is. Only
    brains that hear are asked it.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    max_output_tokens: int | None = None
    model: str = ""
    """That of ``ReplySettings``."""
    transcribe: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the answer's text, whitespace as written."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a call's JSON arguments. The first of a call carries the function's name.

    ``call_id`` is the same for all pieces of one call, and unique in the conversation.
    """

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Finish:
    """The last delta, always. ``reason`` is ``stop``, ``length`` or ``tool_calls``; tokens are 0 where unknown.

    ``cached_tokens`` are those of the input that were read before, for another answer or ahead of this one.
    """

    reason: str = "stop"
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0


BrainDelta = TextDelta | ToolCallDelta | Finish


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of a synthesizer: its name within the engine, and how fast (1.0 is its own pace)."""

    name: str
    speed: float = 1.0


@dataclass(frozen=True, slots=True)
class Word:
    """A span of a segment's text and when it sounds, in samples at 48 kHz from the start of that segment.

    ``start_char`` and ``end_char`` index the text as it was handed to the synthesizer.
    """

    start_char: int
    end_char: int
    start_sample: int
    end_sample: int

    def moved(self, chars: int, samples: int) -> Word:
        """The same word, where so many characters and samples stand before what it was counted from."""
        return Word(
            self.start_char + chars, self.end_char + chars, self.start_sample + samples, self.end_sample + samples
        )


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Mono s16 at 48 kHz. ``segment`` counts the pieces of text handed to the synthesizer, from 0.

    ``pcm`` is of any even length, also none. ``words`` are those whose times became known with this chunk (an
    engine that knows no word times gives none). ``last`` is set on exactly one chunk of each segment, its final
    one; segments come in order.
    """

    pcm: bytes
    segment: int
    words: tuple[Word, ...] = field(default=())
    last: bool = False


@dataclass(frozen=True, slots=True)
class Spoken:
    """A piece of a reply's transcript and the time of its audio, in ms from the start of the item's audio."""

    text: str
    start_ms: float
    end_ms: float
