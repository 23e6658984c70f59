"""The scripted engines keep to their stated times and texts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest

from antiphon.audio import samples_of
from antiphon.core.speech import (
    AudioChunk,
    BrainDelta,
    BrainRequest,
    Finish,
    Message,
    TextDelta,
    ToolCallDelta,
    Voice,
)
from antiphon.engines.base import VAD_WINDOW_SAMPLES
from antiphon.engines.scripted import (
    NUMBERS,
    BrainOptions,
    ScriptedBrain,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedVad,
    count_to,
)
from antiphon.engines.tone_code import SYMBOL_MS, decode, encode
from antiphon.errors import ConfigError, EngineError
from antiphon.sim.virtual_time import run_virtual


def now_ms() -> int:
    return round(asyncio.get_running_loop().time() * 1000)


async def answer(brain: ScriptedBrain, *messages: Message, limit: int | None = None) -> list[tuple[int, BrainDelta]]:
    request = BrainRequest(messages, max_output_tokens=limit)
    return [(now_ms(), delta) async for delta in brain.respond(request)]


def text_of(deltas: list[tuple[int, BrainDelta]]) -> str:
    return "".join(delta.text for _, delta in deltas if isinstance(delta, TextDelta))


def asked(text: str) -> str:
    return text_of(run_virtual(answer(ScriptedBrain(), Message("user", text))))


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def spoken(synthesizer: ScriptedSynthesizer, *texts: str, speed: float = 1.0) -> list[tuple[int, AudioChunk]]:
    return [(now_ms(), chunk) async for chunk in synthesizer.speak(pieces(*texts), Voice("alpha", speed))]


def test_vad_hears_speech_and_not_silence() -> None:
    heard: list[float] = []
    stream = ScriptedVad().open(heard.append)
    stream.push(np.zeros(VAD_WINDOW_SAMPLES, np.int16))
    stream.push(samples_of(encode("speech", 16_000))[:VAD_WINDOW_SAMPLES])
    assert heard[0] < 0.01
    assert heard[1] > 0.95


def test_recognizer_tells_whole_words_as_they_come_and_its_final_after_its_time() -> None:
    partials: list[str] = []

    async def main() -> tuple[str, int]:
        stream = ScriptedRecognizer.from_options("final_ms=70").open(partials.append)
        pcm = encode("how are you", 16_000)
        for at in range(0, len(pcm), 640):
            stream.feed(pcm[at : at + 640])
        final = await stream.final()
        stream.close()
        return final.text, now_ms()

    assert run_virtual(main()) == ("how are you", 70)
    assert partials == ["how", "how are"]


def test_a_closed_recognizer_stream_gives_up_its_final() -> None:
    async def main() -> None:
        stream = ScriptedRecognizer.from_options("final_ms=70").open(lambda text: None)
        final = asyncio.create_task(stream.final())
        await asyncio.sleep(0.01)
        stream.close()
        with pytest.raises(asyncio.CancelledError):
            await final
        assert now_ms() == 10

    run_virtual(main())


def test_brain_gives_its_tokens_at_its_times() -> None:
    brain = ScriptedBrain.from_options("first_token_ms=50,token_ms=20,tokens=6")
    deltas = run_virtual(answer(brain, Message("user", "hello")))
    assert [at for at, _ in deltas] == [50, 70, 90, 110, 130, 150, 150]
    assert text_of(deltas) == "one two three four five, six"
    assert deltas[-1][1] == Finish("stop", 1, 6)
    assert brain.running == 0


def test_brain_answers_by_rule() -> None:
    assert asked("Echo Sam was here") == "Sam was here"
    assert asked("count to 3.") == "one two three"
    assert asked("repeat") == "nothing"
    context = (Message("user", "hi"), Message("assistant", "one two"), Message("user", "repeat."))
    assert text_of(run_virtual(answer(ScriptedBrain(), *context))) == "one two"


def test_brain_calls_functions_and_speaks_their_results() -> None:
    deltas = run_virtual(answer(ScriptedBrain(), Message("user", 'call weather {"at": "home"}')))
    calls = [delta for _, delta in deltas if isinstance(delta, ToolCallDelta)]
    assert {call.name for call in calls} == {"weather"}
    assert len({call.call_id for call in calls}) == 1
    assert "".join(call.arguments for call in calls) == '{"at": "home"}'
    assert deltas[-1][1] == Finish("tool_calls", 4, 2)
    result = (
        Message("assistant", call_id="c", name="weather", arguments="{}"),
        Message("tool", "sunny", call_id="c"),
    )
    assert text_of(run_virtual(answer(ScriptedBrain(), *result))) == "weather says sunny"


def test_brain_takes_answers_from_a_script_and_by_the_request_alone() -> None:
    brain = ScriptedBrain(answers=["first", "second"])
    first, second = Message("user", "a"), Message("user", "b")
    assert text_of(run_virtual(answer(brain, first))) == "first"
    assert text_of(run_virtual(answer(brain, first, second))) == "second"
    assert text_of(run_virtual(answer(brain, first))) == "first"


def test_brain_keeps_to_the_limit_of_tokens() -> None:
    deltas = run_virtual(answer(ScriptedBrain(), Message("user", "count to 9"), limit=2))
    assert text_of(deltas) == "one two"
    assert deltas[-1][1] == Finish("length", 3, 2)


def test_closing_an_answer_ends_it() -> None:
    brain = ScriptedBrain()

    async def main() -> None:
        async with aclosing(brain.respond(BrainRequest((Message("user", "go on"),)))) as deltas:
            async for _ in deltas:
                assert brain.running == 1
                break
        assert brain.running == 0

    run_virtual(main())


def test_synthesizer_speaks_at_its_pace_with_exact_word_times() -> None:
    chunks = run_virtual(spoken(ScriptedSynthesizer.from_options("first_audio_ms=40,speed=2"), "one two", "six"))
    assert [at for at, _ in chunks] == [40, 40 + 4 * SYMBOL_MS // 2, 40 + 4 * SYMBOL_MS // 2 + 40]
    assert decode(b"".join(chunk.pcm for _, chunk in chunks), 48_000) == "one two six"
    assert [(chunk.segment, chunk.last) for _, chunk in chunks] == [(0, False), (0, True), (1, True)]
    second = chunks[1][1].words[0]
    assert (second.start_char, second.end_char) == (4, 7)
    assert (second.start_sample, second.end_sample) == (4 * SYMBOL_MS * 48, 7 * SYMBOL_MS * 48)


@pytest.mark.parametrize("speed", [0.25, 0.75, 1.3, 1.5])
def test_synthesizer_is_understood_at_any_pace(speed: float) -> None:
    chunks = run_virtual(spoken(ScriptedSynthesizer(), count_to(30), speed=speed))
    assert decode(b"".join(chunk.pcm for _, chunk in chunks), 48_000) == count_to(30)


def test_a_piece_without_words_ends_its_segment_all_the_same() -> None:
    chunks = run_virtual(spoken(ScriptedSynthesizer(), " ", "yes"))
    assert [(chunk.segment, chunk.pcm == b"", chunk.last) for _, chunk in chunks] == [(0, True, True), (1, False, True)]


def test_engines_fail_on_the_jobs_they_were_told_to() -> None:
    brain = ScriptedBrain(BrainOptions(fail_on="2", fail_after=3))
    assert text_of(run_virtual(answer(brain, Message("user", "count to 1")))) == "one"

    async def failing() -> None:
        deltas = brain.respond(BrainRequest((Message("user", "count to 9"),)))
        given = [await anext(deltas) for _ in range(3)]
        assert given == [TextDelta("one"), TextDelta(" two"), TextDelta(" three")]
        with pytest.raises(EngineError):
            await anext(deltas)

    run_virtual(failing())
    with pytest.raises(EngineError):
        run_virtual(spoken(ScriptedSynthesizer.from_options("fail_on=1+3"), "one"))

    async def deaf() -> None:
        stream = ScriptedRecognizer.from_options("fail_rate=1").open(lambda text: None)
        with pytest.raises(EngineError):
            await stream.final()

    run_virtual(deaf())


def test_wrong_options_are_told_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no option 'tokns'; there are .*tokens"):
        ScriptedBrain.from_options("tokns=3")
    with pytest.raises(ConfigError, match="token_ms=soon"):
        ScriptedBrain.from_options("token_ms=soon")
    with pytest.raises(ConfigError, match="fail_on=x"):
        ScriptedSynthesizer.from_options("fail_on=x")


def test_the_numbers_are_distinct_words() -> None:
    assert len(set(NUMBERS)) == len(NUMBERS) == 99
    assert count_to(11) == "one two three four five, six seven eight nine ten. eleven"
