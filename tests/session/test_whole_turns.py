"""Turns that are recognized whole, with a scripted recognizer on virtual time."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import Transcript
from antiphon.engines.whole_turns import MAX_TURN_S, WholeTurn
from antiphon.errors import EngineError
from antiphon.sim.virtual_time import run_virtual

FRAME_S = 0.02
FRAME = bytes(int(FRAME_S * EAR_RATE_HZ) * 2)


@dataclass
class Script:
    """Says how many seconds it was given, and takes ``takes_s`` for it."""

    takes_s: float = 0.3
    fails: bool = False
    passes: list[tuple[float, float, bool]] = field(default_factory=list)
    """When each began, over how much audio, and whether for a final."""
    cancelled: int = 0

    async def recognize(self, pcm: bytes, final: bool) -> Transcript:
        loop = asyncio.get_running_loop()
        seconds = len(pcm) / 2 / EAR_RATE_HZ
        self.passes.append((round(loop.time(), 2), seconds, final))
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.fails:
            raise EngineError("out of order")
        return Transcript(f"{seconds:.1f} seconds.")

    def turn(self, partials: list[str], every_s: float | None = 1.0) -> WholeTurn:
        return WholeTurn(self.recognize, partials.append, every_s, "script")


async def talk(turn: WholeTurn, seconds: float) -> None:
    for _ in range(round(seconds / FRAME_S)):
        turn.feed(FRAME)
        await asyncio.sleep(FRAME_S)


def test_partials_cost_a_third_of_the_time_at_most() -> None:
    async def run(takes_s: float) -> list[float]:
        script, partials = Script(takes_s), list[str]()
        with closing(script.turn(partials)) as turn:
            await talk(turn, 12)
            assert (await turn.final()).text == "12.0 seconds."
        assert len(partials) >= len(script.passes) - 2
        assert all(text.endswith("seconds") for text in partials)
        return [began_at for began_at, _, final in script.passes if not final]

    quick, slow = run_virtual(run(0.1)), run_virtual(run(2.0))
    assert 10 <= len(quick) <= 12
    assert len(slow) == 2
    assert slow[1] - slow[0] >= 6.0


def test_none_are_made_where_none_are_wanted() -> None:
    async def run() -> Script:
        script = Script()
        with closing(script.turn([], None)) as turn:
            await talk(turn, 5)
            await turn.final()
        return script

    assert [final for _, _, final in run_virtual(run()).passes] == [True]


def test_a_final_ends_a_partial_under_way_and_an_older_final() -> None:
    async def run() -> Script:
        script, partials = Script(5.0), list[str]()
        with closing(script.turn(partials)) as turn:
            await talk(turn, 1.5)
            older = asyncio.ensure_future(turn.final())
            await talk(turn, 0.5)
            assert (await turn.final()).text == "2.0 seconds."
            assert older.cancelled()
        assert partials == []
        return script

    script = run_virtual(run())
    assert [final for _, _, final in script.passes] == [False, True, True]
    assert script.cancelled == 2


def test_the_same_audio_is_recognized_once() -> None:
    async def run() -> int:
        script = Script()
        with closing(script.turn([], None)) as turn:
            assert (await turn.final()).text == ""
            await talk(turn, 1)
            assert await turn.final() is await turn.final()
            turn.feed(FRAME)
            await turn.final()
        return len(script.passes)

    assert run_virtual(run()) == 2


def test_closing_cancels_all_work() -> None:
    async def run() -> Script:
        script, partials = Script(), list[str]()
        turn = script.turn(partials)
        await talk(turn, 1)
        turn.close()
        turn.feed(FRAME)
        with pytest.raises(EngineError, match="closed"):
            await turn.final()
        other = script.turn(partials, None)
        await talk(other, 1)
        final = asyncio.ensure_future(other.final())
        await asyncio.sleep(0.1)
        other.close()
        with pytest.raises(asyncio.CancelledError):
            await final
        await asyncio.sleep(1)
        assert partials == []
        return script

    assert run_virtual(run()).cancelled == 2


def test_a_partial_that_fails_leaves_the_turn_as_it_is() -> None:
    async def run() -> list[str]:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["message"]))
        script, partials = Script(fails=True), list[str]()
        with closing(script.turn(partials)) as turn:
            await talk(turn, 1.5)
            script.fails = False
            await talk(turn, 1.5)
            assert partials
            script.fails = True
            with pytest.raises(EngineError, match="out of order"):
                await turn.final()
        return told

    assert run_virtual(run()) == ["a partial of script failed"]


def test_a_turn_is_bounded() -> None:
    async def run() -> float:
        script = Script()
        with closing(script.turn([], None)) as turn:
            for _ in range(70):
                turn.feed(FRAME * 500)
            await turn.final()
        return script.passes[0][1]

    assert run_virtual(run()) == MAX_TURN_S
