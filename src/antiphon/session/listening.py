"""A brain that listens: any brain, asked anew whenever it may write, about all that it has heard, thought and said.

Each request begins as the one before did, so that a model which keeps what it has read pays for a new word alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from antiphon.core.mind import Mind
from antiphon.core.settings import ListeningSettings, ReplySettings
from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.core.tool_tags import ToolTags
from antiphon.core.waitk import WaitK
from antiphon.core.writing import Event, PlainWriting, Said, Thought, with_speech
from antiphon.engines.base import Brain
from antiphon.engines.optional import Attentive, answering, read_ahead
from antiphon.ids import TurnId


class ListeningBrain:
    """``hear`` and ``retract`` words while they come, ``write`` when the policy allows it.

    One turn of the user is open at a time; while none is, the source is closed and writing runs to its end.
    """

    def __init__(self, brain: Brain, settings: ListeningSettings) -> None:
        self._brain = brain
        self._settings = settings
        self._writing: ToolTags | PlainWriting = PlainWriting()
        self._within_word = False
        self._may_write = asyncio.Event()
        self.mind = Mind(mark_silence=settings.speak_tool, max_words=settings.max_words)
        self.policy = WaitK(settings.wait_k, settings.lead_words)
        self.heard_words = 0
        self.retracted_words = 0
        self.usage = Finish()
        """The tokens of all reading and writing so far."""

    # Hearing.

    def begin(self) -> None:
        """The user begins a turn."""
        self.policy.begin()
        self._weigh()

    def hear(self, turn: TurnId, words: tuple[str, ...], speaker: str | None = None) -> None:
        """Words that are certain."""
        self.mind.hear(turn, words, speaker)
        self.heard_words += len(words)
        self.policy.read(len(words))
        self._weigh()

    def retract(self, turn: TurnId, count: int) -> None:
        """The last words of a turn were others."""
        self.mind.retract(turn, count)
        self.retracted_words += count
        self.policy.read(-count)

    def close(self) -> None:
        """The user is silent, and all that was said is heard."""
        self.policy.close()
        self._weigh()

    def reopen(self) -> None:
        """The user goes on."""
        self.policy.reopen()
        self._weigh()

    def _weigh(self) -> None:
        if self.policy.may_write():
            self._may_write.set()
        else:
            self._may_write.clear()

    # Reading and writing.

    @property
    def reads_ahead(self) -> bool:
        return isinstance(self._brain, Attentive)

    def name(self, reply: ReplySettings) -> str:
        """The model that would be asked now."""
        return answering(self._brain, reply.model)

    def request(self, reply: ReplySettings) -> BrainRequest:
        messages = self.mind.messages()
        if reply.instructions:
            messages = (Message("system", reply.instructions), *messages)
        request = BrainRequest(messages, reply.tools, reply.tool_choice, reply.max_output_tokens, model=reply.model)
        return with_speech(request) if self._settings.speak_tool else request

    async def read(self, reply: ReplySettings) -> None:
        """Has the brain read what it has heard, ahead of writing. Raises EngineError."""
        self._count(await read_ahead(self._brain, self.request(reply)))

    async def write(self, reply: ReplySettings) -> AsyncGenerator[Event]:
        """One run of writing, up to where the brain ends it.

        Begun while the user speaks, each of its words waits until the policy allows it. Begun in silence it runs to its
        end: what the user says then is not known to it, and whoever uses it may break it off.

        Close it to break it off: ``break_off`` tells what that leaves. Raises EngineError.
        """
        request = self.request(reply)
        self._writing = ToolTags() if self._settings.speak_tool else PlainWriting()
        self._within_word = False
        waits = self.policy.open
        async with aclosing(self._brain.respond(request)) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(text):
                        events = self._writing.push(text)
                    case ToolCallDelta():
                        events = self._writing.push_call(delta)
                    case Finish():
                        self._count(delta)
                        events = []
                for event in events:
                    yield self._weighed(event)
                    if waits:
                        await self._may_write.wait()
        for event in self._writing.finish():
            yield event

    def break_off(self) -> list[Event]:
        """What ends what was open in a run that was broken off."""
        return self._writing.finish(cut=True)

    def ended(self) -> None:
        """The brain has ended its writing; while the user speaks, that means that it waits for more."""
        if self.policy.open:
            self.policy.yielded()
        self._weigh()

    def rewind(self, written: int) -> None:
        """What was written since there were so many words was thrown away."""
        self.policy.rewind(written)
        self._weigh()

    def _weighed(self, event: Event) -> Event:
        if isinstance(event, Said | Thought):
            self.policy.wrote(self._new_words(event.text))
            self._weigh()
        return event

    def _new_words(self, text: str) -> int:
        """How many words begin in a fragment."""
        words = len(text.split())
        if words and self._within_word and not text[0].isspace():
            words -= 1
        self._within_word = not text[-1].isspace() if text else self._within_word
        return words

    def _count(self, finish: Finish) -> None:
        self.usage = Finish(
            finish.reason,
            self.usage.input_tokens + finish.input_tokens,
            self.usage.output_tokens + finish.output_tokens,
            self.usage.cached_tokens + finish.cached_tokens,
        )
