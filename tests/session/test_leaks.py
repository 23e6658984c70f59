"""A speculative reply never leaks: no audio, no effect of a tool, no item without commit. And the test would see it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.session.leak_machine import LeakMachine

from antiphon.core.speech import AudioChunk, ToolCallDelta
from antiphon.session.prompter import Prompter
from antiphon.session.reply import Reply
from antiphon.sim.caller import call
from antiphon.sim.virtual_time import run_virtual

_QUIET = list(HealthCheck)


def test_nothing_of_a_reply_that_was_not_let_out_is_found_anywhere() -> None:
    run_state_machine_as_test(
        LeakMachine,
        settings=settings(max_examples=60, stateful_step_count=15, deadline=None, suppress_health_check=_QUIET),
    )


async def _write_at_once(reply: Reply, text: str) -> None:
    item = reply.told._message_item()
    item.text += text


async def _call_at_once(reply: Reply, delta: ToolCallDelta, *, after_speech: bool) -> None:
    reply.told._tell_call(delta)


def _deliver_at_once(reply: Reply, chunk: AudioChunk) -> None:
    reply._deliver(chunk)


def _tell_at_once(prompter: Prompter, text: str) -> None:
    prompter._tell_clause(text)


@pytest.mark.parametrize(
    ("owner", "method", "leaking"),
    [
        (Reply, "_write", _write_at_once),
        (Reply, "_call", _call_at_once),
        (Reply, "_hold", _deliver_at_once),
        (Prompter, "clause", _tell_at_once),
    ],
    ids=["text", "call", "audio", "clause"],
)
def test_a_leak_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, leaking: Callable[..., object]
) -> None:
    monkeypatch.setattr(owner, method, leaking)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            LeakMachine,
            settings=settings(
                max_examples=200,
                stateful_step_count=12,
                deadline=None,
                database=None,
                print_blob=False,
                report_multiple_bugs=False,
                phases=[Phase.generate],
                suppress_health_check=_QUIET,
            ),
        )


@pytest.mark.parametrize("paced", [True, False])
def test_what_a_cancelled_reply_still_brings_is_not_told(paced: bool) -> None:
    """Its tasks end some steps of the loop later, and what they waited for may have come in the very same one."""

    async def main() -> None:
        async with call(paced=paced) as caller:
            asked = caller.ask()
            await caller.hears("two")
            reply = caller.session._replies.live[asked].reply
            caller.cancel(asked)
            await caller.answer()
            told, items = len(caller.outlet.calls), len(caller.session.conversation)
            reply.told.voice("late")
            reply.told.clause("late")
            reply._deliver(AudioChunk(bytes(4800), 0, last=True))
            await reply._write("late")
            await reply._call(ToolCallDelta("call_1", "effect", "{}"), after_speech=False)
            assert [each.name for each in caller.outlet.calls[told:]] == []
            assert len(caller.session.conversation) == items

    run_virtual(main())
