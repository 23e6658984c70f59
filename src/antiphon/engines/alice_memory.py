"""What A.L.I.C.E. knows after each turn of a conversation, worked out from its turns alone."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from antiphon.core.segments import untagged
from antiphon.core.speech import Message

if TYPE_CHECKING:
    from antiphon.engines.aiml_kernel import AimlKernel, Knowledge

_REMEMBERED_STEPS = 2048
_REPLAYED_TURNS = 100
"""A conversation that is asked about for the first time is worked out from so many of its last turns."""
_HEEDED_SENTENCES, _ANSWERED_SENTENCES = 12, 3
"""Of a long turn all the last sentences are taken in, but only the very last ones answered."""

_NO_ANSWER = "I have no good answer to that. Could you say it in other words?"


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


class AliceMemory:
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


def _digest(before: bytes, user: str, assistant: str) -> bytes:
    return hashlib.sha256(before + f"{user}\0{assistant}".encode("utf-8", "replace")).digest()
