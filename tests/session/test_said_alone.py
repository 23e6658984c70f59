"""Asked for an answer, a brain for which speech is a tool gives what it says, and no thought."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.ids import IdSource
from antiphon.session.said_alone import SaidAlone
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual


async def answer(writing: str) -> list[BrainDelta]:
    brain = SaidAlone(RuleBrain(lambda messages: writing), IdSource(1))
    request = BrainRequest((Message("user", "well?"),), (Tool("weather"),))
    async with aclosing(brain.respond(request)) as deltas:
        return [delta async for delta in deltas]


def text_of(deltas: list[BrainDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


@pytest.mark.parametrize(
    ("writing", "said"),
    [
        ("He asks. <speak>It is noon.</speak> Done.", "It is noon."),
        ("<speak>One.</speak><speak>Two.</speak>", "One. Two."),
        ("It is noon.", ""),
        ('<tool_call>{"name": "speak", "arguments": {"text": "Noon', "Noon"),
    ],
)
def test_thoughts_are_left_out(writing: str, said: str) -> None:
    deltas = run_virtual(answer(writing))
    assert text_of(deltas) == said
    assert isinstance(deltas[-1], Finish)
    assert sum(isinstance(delta, Finish) for delta in deltas) == 1


def test_other_functions_are_called() -> None:
    deltas = run_virtual(answer('Hm. <tool_call>{"name": "weather", "arguments": {"at": "home"}}</tool_call>'))
    call, _ = deltas
    assert isinstance(call, ToolCallDelta)
    assert (call.name, call.arguments) == ("weather", '{"at": "home"}')
    assert call.call_id.startswith("call_")
