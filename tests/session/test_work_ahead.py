"""How much is done ahead, what that has won and wasted, exact on virtual time."""

from __future__ import annotations

import pytest

from antiphon.core.settings import SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from antiphon.engines.scripted import ScriptedBrain, ScriptedSynthesizer
from antiphon.session.meter import NoMeter
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual
from antiphon.transport.base import AnsweredTurn

LLM = "first_token_ms=40,token_ms=20,tokens=60"
TTS = "first_audio_ms=15,speed=10"
NOTHING_WASTED = {
    "thrown_away": 0,
    "wasted_tokens": 0,
    "wasted_brain_ms": 0.0,
    "wasted_voice_ms": 0.0,
    "wasted_audio_ms": 0.0,
}


class Figures(NoMeter):
    def __init__(self) -> None:
        self.entries: list[dict[str, float]] = []

    def work_ahead(self, figures: dict[str, float]) -> None:
        self.entries.append(figures)


def turns(caller: Caller) -> list[AnsweredTurn]:
    return [each.args[0] for each in caller.outlet.named("answered")]


def patient(silence_ms: int = 600) -> SessionSettings:
    return SessionSettings(TurnSettings(paced=True, silence_duration_ms=silence_ms), transcription=True)


@pytest.mark.parametrize(
    ("level", "ahead", "response_ms"),
    [
        (Ahead.VOICE, True, 625.021),  # all was ready when the turn was over
        (Ahead.BRAIN, True, 640.021),  # and here the clause was, and the voice took its 15 ms
        (Ahead.NOTHING, False, 780.021),  # brain 140 ms and voice 15
    ],
)
def test_so_much_is_done_ahead_as_there_is_room_for(level: Ahead, ahead: bool, response_ms: float) -> None:
    async def main() -> None:
        suite = scripted_suite(asr="final_ms=30", llm=LLM, tts=TTS)
        async with call(suite, patient(), room_ahead=lambda: level) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            (turn,) = turns(caller)
            assert turn.ahead is ahead
            assert turn.marks["first_sound"] == response_ms
            won_ms = 780.021 - response_ms
            assert turn.work_ahead == pytest.approx({"won_ms": won_ms, **NOTHING_WASTED})

    run_virtual(main())


def test_what_is_thrown_away_is_told_with_the_turn_that_is_answered_then() -> None:
    async def main() -> None:
        meter = Figures()
        suite = scripted_suite(asr="final_ms=30", llm=LLM, tts=TTS)
        async with call(suite, patient(), meter=meter) as caller:
            await caller.say("tell me")
            await caller.say("something", after_ms=400)
            await caller.hears("eight")
            (turn,) = turns(caller)
            (wasted, won) = meter.entries
            assert wasted["thrown_away"] == 1
            assert wasted["wasted_tokens"] > 5
            assert wasted["wasted_brain_ms"] == pytest.approx(40 + 20 * (wasted["wasted_tokens"] - 1), abs=20)
            assert wasted["wasted_audio_ms"] > 500
            assert 15 < wasted["wasted_voice_ms"] <= 15 + wasted["wasted_audio_ms"] / 10
            assert won == pytest.approx({"won_ms": 155.0, **NOTHING_WASTED})
            assert turn.work_ahead == {**wasted, "won_ms": won["won_ms"]}
            await caller.rest()
            await caller.say("and more")
            await caller.until(lambda: len(turns(caller)) == 2)
            second = turns(caller)[1]
            assert second.work_ahead == pytest.approx({"won_ms": 155.0, **NOTHING_WASTED})
            assert second.session_work_ahead == pytest.approx({**wasted, "won_ms": 310.0})

    run_virtual(main())


def test_without_room_nothing_is_wasted_when_the_user_goes_on() -> None:
    async def main() -> None:
        meter = Figures()
        suite = scripted_suite(asr="final_ms=30", llm=LLM, tts=TTS)
        async with call(suite, patient(), meter=meter, room_ahead=lambda: Ahead.NOTHING) as caller:
            await caller.say("tell me")
            await caller.say("something", after_ms=400)
            await caller.hears("eight")
            assert not meter.entries
            assert isinstance(suite.brain, ScriptedBrain)
            assert len(suite.brain.requests) == 1

    run_virtual(main())


def test_a_reply_that_is_open_when_the_call_ends_is_counted_too() -> None:
    async def main() -> None:
        meter = Figures()
        suite = scripted_suite(asr="final_ms=30", llm=LLM, tts=TTS)
        async with call(suite, patient(), meter=meter) as caller:
            await caller.say("tell me something")
            await caller.pause(300)
        (entry,) = meter.entries
        assert entry["thrown_away"] == 1
        assert isinstance(suite.synthesizer, ScriptedSynthesizer)
        assert suite.synthesizer.running == 0

    run_virtual(main())
