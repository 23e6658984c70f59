"""A change of voice while a reply is spoken, and a voice that fails: the words heard are those of the reply."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.commands import Configure
from antiphon.core.settings import ReplySettings, SessionSettings, SpeechSettings, TurnSettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.scripted import ScriptedSynthesizer, SynthesizerOptions, count_to
from antiphon.engines.suite import Suite
from antiphon.engines.voices import MultiSynthesizer
from antiphon.errors import EngineError
from antiphon.session.voice_runs import stand_in
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.virtual_time import run_virtual

FRAME_S = 0.02
WORDS = count_to(60)


class Engine(ScriptedSynthesizer):
    """A scripted engine with a name, which notes who said what, takes time to prepare, and fails when told to."""

    def __init__(self, name: str, options: SynthesizerOptions | None = None, *, prepare_s: float = 0.0) -> None:
        super().__init__(options)
        self.engine = name
        self.said: list[tuple[str, float, str]] = []
        """Voice, speed and text of each clause that it was handed."""
        self.prepared: list[tuple[float, str]] = []
        self.breaks_after: int | None = None
        """It fails after so many more chunks, for good."""
        self.retryable = True
        self.cannot_prepare = False
        self._prepare_s = prepare_s

    @property
    def name(self) -> str:
        return f"{self.engine}:"

    async def prepare(self, voice: Voice) -> None:
        await asyncio.sleep(self._prepare_s)
        if self.cannot_prepare:
            raise EngineError("there is no room for this voice", retryable=True)
        self.prepared.append((asyncio.get_running_loop().time(), voice.name))

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        async def noted() -> AsyncGenerator[str]:
            async for piece in text:
                self.said.append((voice.name, voice.speed, piece))
                yield piece

        async with aclosing(super().speak(noted(), voice)) as chunks:
            async for chunk in chunks:
                if self.breaks_after is not None:
                    if self.breaks_after == 0:
                        raise EngineError("the voice was unloaded", retryable=self.retryable)
                    self.breaks_after -= 1
                yield chunk


def suite_of(*engines: Engine, llm: str = "") -> Suite:
    return replace(scripted_suite(llm=llm), synthesizer=MultiSynthesizer(engines))


def session(voice: str, *, speed: float = 1.0, paced: bool = True) -> SessionSettings:
    return SessionSettings(TurnSettings(paced=paced), ReplySettings(voice=voice, speed=speed), transcription=True)


def bare(text: str) -> list[str]:
    return text.replace(",", "").replace(".", "").split()


def heard(reply: HeardReply) -> list[str]:
    return [word.strip(",.") for word in reply.spoken_words()]


def longest_gap_s(caller: Caller, reply: HeardReply) -> float:
    times = [each.at for each in caller.outlet.named("reply_audio") if each.args[0] == reply.id]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


CHANGES = st.lists(
    st.tuples(
        st.integers(0, 4000),
        st.sampled_from(["one:alpha", "one:beta", "two:alpha", "two:beta"]),
        st.sampled_from([1.0, 1.25]),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("paced", [True, False])
@settings(max_examples=25, deadline=None)
@given(CHANGES, st.sampled_from([0.0, 0.7, 5.0]))
def test_whenever_voices_change_no_word_is_lost_or_doubled(
    paced: bool, changes: list[tuple[int, str, float]], prepare_s: float
) -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two", prepare_s=prepare_s)
        async with call(suite_of(one, two), session("one:alpha", paced=paced)) as caller:
            caller.ask()
            for after_ms, voice, speed in changes:
                await caller.pause(after_ms)
                caller.session.post(Configure(session(voice, speed=speed, paced=paced)))
            answer = await caller.answer()
            assert answer.status == "completed"
            assert heard(answer) == bare(WORDS)
            assert bare(answer.transcript) == bare(WORDS)
            if paced:
                assert longest_gap_s(caller, answer) == pytest.approx(FRAME_S)

    run_virtual(main())


@pytest.mark.parametrize("paced", [True, False])
def test_a_voice_of_another_engine_speaks_from_the_next_clause_on(paced: bool) -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two")
        async with call(suite_of(one, two, llm="tokens=200"), session("one:alpha", paced=paced)) as caller:
            caller.session.post(Configure(session("one:alpha", paced=paced)))
            caller.ask(session("one:alpha").reply)
            await caller.hears("eight")
            caller.session.post(Configure(session("two:beta", paced=paced)))
            answer = await caller.answer()
            assert heard(answer) == bare(count_to(200))
            assert {voice for voice, _, _ in two.said} == {"beta"}
            before = bare(" ".join(text for _, _, text in one.said))
            after = bare(" ".join(text for _, _, text in two.said))
            assert before + after == bare(count_to(200))
            assert 8 <= len(before) < 40

    run_virtual(main())


def test_the_old_voice_goes_on_until_the_new_one_is_ready() -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two", prepare_s=6.0)
        async with call(suite_of(one, two, llm="tokens=120"), session("one:alpha")) as caller:
            caller.ask(session("one:alpha").reply)
            await caller.hears("two")
            asked_at = caller.now
            caller.session.post(Configure(session("two:alpha")))
            answer = await caller.answer()
            assert [(round(at - asked_at, 3), voice) for at, voice in two.prepared] == [(6.0, "alpha")]
            assert len(one.said) > 2
            assert two.said
            assert longest_gap_s(caller, answer) == pytest.approx(FRAME_S)
            assert heard(answer) == bare(count_to(120))

    run_virtual(main())


def test_the_newest_of_several_wishes_counts() -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two", prepare_s=3.0)
        async with call(suite_of(one, two, llm="tokens=120"), session("one:alpha")) as caller:
            caller.ask(session("one:alpha").reply)
            await caller.hears("two")
            caller.session.post(Configure(session("two:alpha")))
            await caller.pause(500)
            caller.session.post(Configure(session("one:beta")))
            await caller.answer()
            assert not two.prepared
            assert not two.said
            assert [voice for voice, _, _ in one.said][-1] == "beta"

    run_virtual(main())


def test_a_voice_that_cannot_be_made_ready_leaves_the_reply_as_it_is() -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two")
        two.cannot_prepare = True
        async with call(suite_of(one, two), session("one:alpha")) as caller:
            caller.ask(session("one:alpha").reply)
            await caller.hears("two")
            caller.session.post(Configure(session("two:alpha")))
            answer = await caller.answer()
            assert answer.status == "completed"
            assert heard(answer) == bare(WORDS)
            assert not two.said

    run_virtual(main())


def test_a_reply_with_a_voice_of_its_own_keeps_it() -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two")
        async with call(suite_of(one, two), session("one:alpha")) as caller:
            caller.ask(ReplySettings(voice="one:beta"))
            await caller.hears("two")
            caller.session.post(Configure(session("two:alpha")))
            await caller.answer()
            assert {voice for voice, _, _ in one.said} == {"beta"}
            assert not two.said

    run_virtual(main())


def test_speed_changes_as_a_voice_does() -> None:
    async def main() -> None:
        one = Engine("one")
        async with call(suite_of(one, llm="tokens=120"), session("one:alpha")) as caller:
            caller.ask(session("one:alpha").reply)
            await caller.hears("two")
            caller.session.post(Configure(session("one:alpha", speed=1.25)))
            answer = await caller.answer()
            speeds = [speed for _, speed, _ in one.said]
            assert speeds[0] == 1.0
            assert speeds[-1] == 1.25
            assert speeds == sorted(speeds)
            assert heard(answer) == bare(count_to(120))

    run_virtual(main())


# Voices that fail.


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("word_times", [0, 1])
@settings(max_examples=20, deadline=None)
@given(chunks=st.integers(0, 59))
def test_another_voice_goes_on_with_the_word_at_which_one_failed(paced: bool, word_times: int, chunks: int) -> None:
    async def main() -> None:
        one, two = Engine("one", SynthesizerOptions(word_times=word_times)), Engine("two")
        one.breaks_after = chunks
        async with call(suite_of(one, two), session("one:alpha", paced=paced)) as caller:
            await caller.say("tell me something")
            answer = await caller.answer()
            assert answer.status == "completed"
            assert bare(answer.transcript) == bare(WORDS)
            assert {voice for voice, _, _ in two.said} == {"alpha"}
            if word_times:
                assert heard(answer) == bare(WORDS)
            await caller.rest()
            assert caller.context()[-1] == ("assistant", WORDS)

    run_virtual(main())


def test_a_fault_that_will_not_pass_fails_the_reply() -> None:
    async def main() -> None:
        one, two = Engine("one"), Engine("two")
        one.breaks_after, one.retryable = 7, False
        async with call(suite_of(one, two), session("one:alpha")) as caller:
            await caller.say("tell me something")
            assert (await caller.answer()).status == "failed"
            assert not two.said

    run_virtual(main())


def test_when_all_voices_fail_so_does_the_reply() -> None:
    async def main() -> None:
        engines = [Engine(name) for name in ("one", "two", "three", "four")]
        for engine in engines:
            engine.breaks_after = 3
        async with call(suite_of(*engines), session("one:alpha")) as caller:
            await caller.say("tell me something")
            answer = await caller.answer()
            assert answer.status == "failed"
            assert answer.error == "the voice was unloaded"
            assert [len(engine.said) > 0 for engine in engines] == [True, True, True, False]

    run_virtual(main())


VOICES = (
    VoiceInfo("pico:en-US", "en-US"),
    VoiceInfo("pico:en-GB", "en-GB"),
    VoiceInfo("pico:de-DE", "de-DE"),
    VoiceInfo("espeak:en-GB", "en-GB"),
    VoiceInfo("espeak:de", "de"),
)


@pytest.mark.parametrize(
    ("name", "failed", "chosen"),
    [
        ("pico:en-US", [], "espeak:en-GB"),
        ("pico:en-US", ["espeak:en-GB"], "pico:en-GB"),
        ("pico:de-DE", [], "espeak:de"),
        ("espeak:de", [], "pico:de-DE"),
        ("pico:de-DE", ["espeak:de"], "pico:en-US"),
        ("somebody", [], "espeak:en-GB"),
        ("pico:en-US", [voice.name for voice in VOICES], None),
    ],
)
def test_the_stand_in_speaks_the_language_and_comes_from_elsewhere(
    name: str, failed: list[str], chosen: str | None
) -> None:
    assert stand_in(name, VOICES, frozenset(failed)) == chosen


def test_without_voices_there_is_no_stand_in() -> None:
    assert stand_in("any", (), frozenset()) is None


# Words early, growing pieces, several clauses at once.


def speaking(**speech: Any) -> SessionSettings:
    return SessionSettings(TurnSettings(paced=True), ReplySettings(speech=SpeechSettings(**speech)), transcription=True)


def silences_s(caller: Caller, reply: HeardReply) -> float:
    """How long the listener waited in the midst of the reply."""
    times = [each.at for each in caller.outlet.named("reply_audio") if each.args[0] == reply.id]
    return sum(later - earlier - FRAME_S for earlier, later in itertools.pairwise(times))


async def spoken_by(engine: Engine, settings: SessionSettings, llm: str = "", level: Ahead = Ahead.VOICE) -> float:
    """How long the listener of an answer waited in its midst; each word is heard once."""
    suite = replace(scripted_suite(llm=llm), synthesizer=engine)
    async with call(suite, settings, room_ahead=lambda: level) as caller:
        caller.ask(settings.reply)
        answer = await caller.answer()
        assert answer.status == "completed"
        assert heard(answer) == bare(WORDS)
        assert bare(answer.transcript) == bare(WORDS)
        waited_s = silences_s(caller, answer)
    assert engine.running == 0
    return waited_s


@pytest.mark.parametrize(
    ("takes_words", "speech", "first"),
    [
        (0, {}, "one two three four five,"),
        (1, {}, "one two"),
        (1, {"words_trigger_threshold": 3}, "one two three"),
        (1, {"word_start": "never"}, "one two three four five,"),
        (0, {"word_start": "always"}, "one two"),
    ],
)
def test_a_voice_that_takes_words_gets_the_first_of_them(takes_words: int, speech: Any, first: str) -> None:
    async def main() -> None:
        engine = Engine("one", SynthesizerOptions(takes_words=takes_words))
        assert await spoken_by(engine, speaking(**speech)) == pytest.approx(0.0, abs=1e-6)
        assert engine.said[0][2] == first

    run_virtual(main())


def test_pieces_grow_while_audio_waits_to_be_played() -> None:
    async def main() -> None:
        engine = Engine("one")
        await spoken_by(engine, speaking(), llm="token_ms=5")
        sizes = [len(text) for _, _, text in engine.said]
        assert sizes[0] < 40
        assert max(sizes[2:-1]) > 80
        assert max(sizes) <= 140 + 40

    run_virtual(main())


@pytest.mark.parametrize("speed", [0.8, 0.5])
def test_a_slow_voice_keeps_up_by_speaking_several_clauses_at_once(speed: float) -> None:
    async def main() -> None:
        alone = Engine("one", SynthesizerOptions(speed=speed))
        alone_s = await spoken_by(alone, speaking(clauses_at_once=1), llm="token_ms=5")
        together = Engine("one", SynthesizerOptions(speed=speed))
        together_s = await spoken_by(together, speaking(), llm="token_ms=5")
        assert together_s < alone_s / 2

    run_virtual(main())


def test_a_busy_server_speaks_one_clause_at_a_time() -> None:
    async def main() -> None:
        slow = SynthesizerOptions(speed=0.5)
        alone_s = await spoken_by(Engine("one", slow), speaking(clauses_at_once=1), llm="token_ms=5")
        busy_s = await spoken_by(Engine("one", slow), speaking(), llm="token_ms=5", level=Ahead.BRAIN)
        assert busy_s == pytest.approx(alone_s)

    run_virtual(main())


@pytest.mark.parametrize("paced", [True, False])
@settings(max_examples=20, deadline=None)
@given(
    speed=st.sampled_from([0.4, 0.9, 5.0]),
    chunks=st.integers(0, 70),
    changes=CHANGES,
    takes_words=st.sampled_from([0, 1]),
)
def test_with_clauses_beside_each_other_no_word_is_lost_or_doubled_either(
    paced: bool, speed: float, chunks: int, changes: list[tuple[int, str, float]], takes_words: int
) -> None:
    async def main() -> None:
        one, two = (Engine(name, SynthesizerOptions(speed=speed, takes_words=takes_words)) for name in ("one", "two"))
        one.breaks_after = chunks
        async with call(suite_of(one, two, llm="token_ms=2"), session("one:alpha", paced=paced)) as caller:
            caller.ask(session("one:alpha").reply)
            for after_ms, voice, rate in changes:
                await caller.pause(after_ms)
                caller.session.post(Configure(session(voice, speed=rate, paced=paced)))
            answer = await caller.answer()
            assert answer.status == "completed"
            assert heard(answer) == bare(WORDS)
            assert bare(answer.transcript) == bare(WORDS)
            assert bare("".join(answer.clauses)) == bare(WORDS)
        assert (one.running, two.running) == (0, 0)

    run_virtual(main())
