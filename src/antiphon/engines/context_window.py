"""What of a long conversation a model with a bounded context reads.

The system messages at the front always stay: they are what attention sinks into, and what the model is told to be.
When the rest outgrows the limit its oldest part is left out until half of the room is free again. So a prompt only
grows between two such steps, and what a step costs, half a context to be read anew, is spread over as many words: a
word costs about two words at most, however long the conversation is.

Pure, and the same for the same messages: whoever asks again, with more said, gets the same beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from antiphon.core.speech import Message

MESSAGE_TOKENS = 8
"""More than the marks around a message take in the usual chat templates."""

_PIECE_WORDS = 32
_WORDS = re.compile(r"\S+\s*")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a message that goes or stays whole. ``start`` is where it begins in the message's text."""

    message: int
    start: int
    tokens: int
    opens: bool
    """What is left may begin here: with words of the user."""


def within(messages: Sequence[Message], limit: int, count: Callable[[str], int]) -> tuple[Message, ...]:
    """The messages that fit into ``limit`` tokens, the last one always, if need be without its beginning.

    ``count`` gives about the tokens of a text; it is asked for the same texts again and again.
    """
    lead = next((number for number, message in enumerate(messages) if message.role != "system"), len(messages))
    room = limit - MESSAGE_TOKENS - sum(MESSAGE_TOKENS + count(message.text) for message in messages[:lead])
    pieces = [piece for number in range(lead, len(messages)) for piece in _pieces(number, messages[number], count)]
    first = _first(pieces, room)
    if not first:
        return tuple(messages)
    begin = next((piece for piece in pieces[first:] if piece.opens), pieces[first])
    message = messages[begin.message]
    cut = replace(message, text=message.text[begin.start :]) if begin.start else message
    return (*messages[:lead], cut, *messages[begin.message + 1 :])


def _first(pieces: Sequence[_Piece], room: int) -> int:
    """The first piece that stays, as if all of them had come one after the other.

    How much goes is told by those before the one that is too much: that one may still grow.
    """
    first = used = 0
    for number, piece in enumerate(pieces):
        if used + piece.tokens > room:
            while first < number and (used > room // 2 or used + piece.tokens > room):
                used -= pieces[first].tokens
                first += 1
        used += piece.tokens
    return first


def _pieces(number: int, message: Message, count: Callable[[str], int]) -> Iterator[_Piece]:
    if message.role != "user":
        text = "".join((message.text, message.name or "", message.arguments or ""))
        yield _Piece(number, 0, MESSAGE_TOKENS + count(text), opens=False)
        return
    start = 0
    for line in message.text.splitlines(keepends=True) or [""]:
        words = _WORDS.findall(line) or [line]
        for at in range(0, len(words), _PIECE_WORDS):
            text = "".join(words[at : at + _PIECE_WORDS])
            yield _Piece(number, start, count(text) + (0 if start else MESSAGE_TOKENS), opens=True)
            start += len(text)
