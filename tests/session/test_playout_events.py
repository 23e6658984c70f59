"""When a client is told that it begins and ceases to hear a reply, on virtual time."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.core.commands import CreateReply, StopPlayout
from antiphon.core.settings import ReplySettings
from antiphon.ids import ReplyId
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual

FRAME_S = 0.02


def names(caller: Caller) -> list[str]:
    wanted = ("reply_created", "playout_started", "reply_done", "playout_stopped", "playout_cut", "speech_started")
    return [each.name for each in caller.outlet.named(*wanted)]


def test_from_the_first_frame_to_the_last() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=12"), paced=True) as caller:
            caller.session.post(CreateReply(ReplyId("resp_1"), ReplySettings()))
            await caller.outlet.until(lambda: caller.outlet.named("playout_stopped"))
            (started,), (stopped,) = caller.outlet.named("playout_started"), caller.outlet.named("playout_stopped")
            frames = caller.outlet.named("reply_audio")
            assert started.at == frames[0].at
            assert stopped.at == frames[-1].at
            assert stopped.at - started.at == pytest.approx(caller.outlet.latest.audio_s, abs=2 * FRAME_S)
            assert names(caller) == ["reply_created", "playout_started", "reply_done", "playout_stopped"]

    run_virtual(main())


def test_an_interruption_is_told_with_what_was_heard() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=60"), paced=True) as caller:
            caller.session.post(CreateReply(ReplyId("resp_1"), ReplySettings()))
            await caller.outlet.until(lambda: caller.outlet.named("playout_started"))
            await caller.say("no wait a moment please", after_ms=700)
            await caller.outlet.until(lambda: caller.outlet.named("playout_cut"))
            (cut,) = caller.outlet.named("playout_cut")
            first = next(iter(caller.outlet.replies.values()))
            assert cut.args == (first.id, first.items[0], round(first.audio_s * 1000))
            assert names(caller)[:5] == [
                "reply_created",
                "playout_started",
                "speech_started",
                "reply_done",
                "playout_cut",
            ]

    run_virtual(main())


def test_a_client_may_stop_it() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=60"), paced=True) as caller:
            caller.session.post(StopPlayout())  # nothing plays: no harm
            caller.session.post(CreateReply(ReplyId("resp_1"), ReplySettings()))
            caller.session.post(StopPlayout())  # it is not heard yet, and goes on
            await caller.outlet.until(lambda: caller.outlet.named("playout_started"))
            await asyncio.sleep(0.5)
            caller.session.post(StopPlayout())
            await caller.outlet.until(lambda: caller.outlet.named("playout_cut"))
            assert caller.outlet.latest.reason == "client_cancelled"
            assert caller.outlet.latest.audio_s == pytest.approx(0.5, abs=2 * FRAME_S)
            assert not caller.outlet.named("refused")

    run_virtual(main())


@pytest.mark.parametrize("audio", [True, False])
def test_nothing_is_told_of_what_is_not_played_by_the_server(audio: bool) -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=4"), paced=not audio) as caller:
            caller.session.post(CreateReply(ReplyId("resp_1"), ReplySettings(audio=audio)))
            await caller.outlet.until(lambda: caller.outlet.named("reply_done"))
            assert not caller.outlet.named("playout_started", "playout_stopped", "playout_cut")

    run_virtual(main())
