"""Transcripts that the brain writes itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines import tone_code
from antiphon.engines.brain_transcripts import LATER_S, MAX_TOKENS, BrainRecognizer, check_hears
from antiphon.engines.scripted import ScriptedBrain
from antiphon.errors import ConfigError, EngineError
from antiphon.sim.caller import call, scripted_suite
from antiphon.sim.virtual_time import run_virtual


def test_the_words_come_after_the_answer_has_begun() -> None:
    async def main() -> None:
        suite = scripted_suite(llm="hears=1,first_token_ms=20,token_ms=5")
        assert isinstance(suite.brain, ScriptedBrain)
        async with call(replace(suite, recognizer=BrainRecognizer(suite.brain))) as caller:
            await caller.say("echo good morning to you")
            ended_at = caller.now
            answer = await caller.answer()
            assert answer.transcript == "good morning to you"
            assert answer.first_audio_at is not None
            assert answer.first_audio_at - ended_at < 0.3
            await caller.until(lambda: caller.outlet.transcripts)
            assert list(caller.outlet.transcripts.values()) == ["echo good morning to you"]
            assert caller.now - ended_at > LATER_S
        first, second = suite.brain.requests
        assert (first.transcribe, second.transcribe) == (False, True)
        assert second.max_output_tokens == MAX_TOKENS

    run_virtual(main())


def test_a_pause_within_a_turn_costs_no_transcript() -> None:
    async def main() -> None:
        suite = scripted_suite(llm="hears=1,first_token_ms=20,token_ms=5")
        assert isinstance(suite.brain, ScriptedBrain)
        async with call(replace(suite, recognizer=BrainRecognizer(suite.brain))) as caller:
            await caller.say("echo good")
            await caller.say("morning", after_ms=150)
            await caller.answer()
            await caller.until(lambda: caller.outlet.transcripts)
            await caller.rest()
        assert [request.transcribe for request in suite.brain.requests].count(True) == 1

    run_virtual(main())


def test_the_words_alone_are_asked_for_too() -> None:
    async def main() -> None:
        stream = BrainRecognizer(ScriptedBrain.from_options("hears=1")).open(lambda _: None)
        stream.feed(tone_code.encode("good morning", EAR_RATE_HZ))
        assert (await stream.final()).text == "good morning"
        stream.close()

    run_virtual(main())


def test_a_brain_that_does_not_hear_writes_nothing_down() -> None:
    async def main() -> None:
        deaf = ScriptedBrain()
        with pytest.raises(ConfigError, match="takes no audio"):
            check_hears(deaf)
        stream = BrainRecognizer(deaf).open(lambda _: None)
        stream.feed(bytes(32_000))
        with pytest.raises(EngineError, match="takes no audio"):
            await stream.final()
        stream.close()

    run_virtual(main())
