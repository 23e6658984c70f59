"""A brain for which speech is a tool, where somebody else asks it for an answer: what it says is that, and no more."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta, ToolCallDelta
from antiphon.core.tool_tags import ToolTags
from antiphon.core.writing import Call, Event, Said, SpeakBegan, with_speech
from antiphon.engines.base import Brain
from antiphon.engines.brain_around import BrainAround
from antiphon.ids import IdSource


class SaidAlone(BrainAround):
    """Any brain, with what it thinks taken out of its answers."""

    def __init__(self, brain: Brain, ids: IdSource) -> None:
        super().__init__(brain)
        self._ids = ids

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        tags = ToolTags()
        said = False
        finish = Finish()
        async with aclosing(self._brain.respond(with_speech(request))) as deltas:
            async for delta in deltas:
                match delta:
                    case TextDelta(text):
                        events = tags.push(text)
                    case ToolCallDelta():
                        events = tags.push_call(delta)
                    case Finish():
                        finish, events = delta, tags.finish()
                for event in events:
                    if (public := self._public(event, said=said)) is not None:
                        said = True
                        yield public
        yield finish

    def _public(self, event: Event, *, said: bool) -> BrainDelta | None:
        match event:
            case Said(text):
                return TextDelta(text)
            case SpeakBegan() if said:
                return TextDelta(" ")
            case Call(name, arguments, _, call_id):
                return ToolCallDelta(call_id or self._ids.call(), name, arguments)
            case _:
                return None
