"""A client that cannot be reached for a while: replies stop where they are, and go on from there."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.core.commands import CreateReply, GoOn, Hold
from antiphon.core.settings import ReplySettings
from antiphon.ids import ReplyId
from antiphon.sim.caller import call, scripted_suite
from antiphon.sim.virtual_time import run_virtual


def test_a_reply_stops_and_goes_on_from_the_same_sample() -> None:
    async def run(away_s: float) -> tuple[bytes, float]:
        async with call(scripted_suite(llm="tokens=30"), paced=True) as caller:
            loop = asyncio.get_running_loop()
            caller.session.post(CreateReply(ReplyId("resp_1"), ReplySettings()))
            await caller.outlet.until(lambda: caller.outlet.named("playout_started"))
            await asyncio.sleep(0.5)
            caller.session.post(Hold())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            before = caller.outlet.latest.audio_s
            await asyncio.sleep(away_s)
            assert caller.outlet.latest.audio_s == before, "nothing is played to nobody"
            caller.session.post(GoOn())
            back_at = loop.time()
            await caller.outlet.until(lambda: caller.outlet.named("playout_stopped"))
            return bytes(caller.outlet.latest.audio), loop.time() - back_at

    short, long = run_virtual(run(0.1)), run_virtual(run(30.0))
    assert short[0] == long[0]
    assert short[1] == pytest.approx(long[1], abs=0.03)


def test_a_reply_that_begins_meanwhile_waits() -> None:
    async def run() -> None:
        async with call(scripted_suite(llm="tokens=5"), paced=True) as caller:
            caller.session.post(Hold())
            caller.session.post(CreateReply(ReplyId("resp_1"), ReplySettings()))
            await asyncio.sleep(5.0)
            assert not caller.outlet.named("playout_started")
            caller.session.post(GoOn())
            caller.session.post(GoOn())  # once more does no harm
            await caller.outlet.until(lambda: caller.outlet.named("playout_stopped"))

    run_virtual(run())
