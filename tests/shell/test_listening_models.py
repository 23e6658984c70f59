"""Conversations with real models that listen, of random weights, on each library that keeps what it has read.

The machinery is what is tried: such a model writes nonsense without an end, and all of it is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.session.test_thirty_minutes import Inspector
from tests.session.test_two_people import SCENE, Line, Room, perform
from tests.shell.tiny_gguf import write_gguf
from tests.shell.tiny_llm import WORDS, text_of, write_model

from antiphon.core.settings import Answers, ListeningSettings, ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import BrainRequest
from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.llama_brain import LlamaBrain
from antiphon.engines.mlx_lm_brain import MlxLmLibrary
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.transformers_brain import TransformersLibrary
from antiphon.session.listening import ListeningBrain
from antiphon.session.session import Session
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual
from antiphon.sim.watch import Watch

Brain = CachedBrain | LlamaBrain

GREEDY = ModelOptions.parse("temperature=0&context=1024")
BRAINS: dict[str, Callable[[Path], Brain]] = {
    "transformers": lambda folder: CachedBrain(TransformersLibrary("cpu"), str(folder), GREEDY),
    "mlx-lm": lambda folder: CachedBrain(MlxLmLibrary(), str(folder), GREEDY),
    "llama.cpp": lambda folder: LlamaBrain(str(folder / "tiny.gguf"), GREEDY),
}
SAYINGS = [" ".join(WORDS[at : at + 6]) for at in range(0, 48, 6)]
SETTINGS = SessionSettings(
    TurnSettings(paced=True, answers=Answers.LISTENING, silence_duration_ms=300),
    ReplySettings(instructions="Listen.", max_output_tokens=6),
    ListeningSettings(wait_k=3),
    transcription=True,
)


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more wait longer for each other than so small a model takes


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = write_model(tmp_path_factory.mktemp("llm") / request.param, request.param)
    write_gguf(model, model / "tiny.gguf")
    return model


@pytest.fixture(params=BRAINS)
def make_qwen(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Brain]:
    model = write_model(tmp_path / "qwen3")
    write_gguf(model, model / "tiny.gguf")
    return lambda: BRAINS[request.param](model)


@pytest.fixture(params=BRAINS)
def make(request: pytest.FixtureRequest, folder: Path) -> Callable[[], Brain]:
    return lambda: BRAINS[request.param](folder)


@asynccontextmanager
async def conversing(
    brain: Brain, settings: SessionSettings, watch: Watch, session_class: type[Session] = Session
) -> AsyncIterator[Caller]:
    """By the rules of turn-taking, which are looked after."""
    suite = watch.over(replace(scripted_suite(), brain=brain))
    await suite.load()
    try:
        rules = Inspector(settings.turn)
        async with call(suite, settings, recorder=rules, session_class=session_class) as caller:
            await caller.pause(20)
            yield caller
            await caller.rest()
        assert rules.rules.closed
        assert not caller.outlet.live
    finally:
        await suite.close()


def mind_of(caller: Caller) -> ListeningBrain:
    brain = caller.session.brain
    assert brain is not None
    return brain


async def cost_of_words(caller: Caller, sayings: Sequence[str]) -> float:
    """The tokens that were read anew for each word that was heard."""
    brain = mind_of(caller)
    before, heard = brain.usage, brain.heard_words
    for saying in sayings:
        await caller.say(saying, after_ms=500)
        await caller.rest()
    after = brain.usage
    read = after.input_tokens - before.input_tokens - (after.cached_tokens - before.cached_tokens)
    return read / (brain.heard_words - heard)


def test_a_word_costs_a_word(make: Callable[[], Brain]) -> None:
    watch = Watch()

    async def main() -> None:
        async with conversing(make(), SETTINGS, watch) as caller:
            costs = [await cost_of_words(caller, SAYINGS[:4]), await cost_of_words(caller, SAYINGS[4:])]
            usage = mind_of(caller).usage
            assert usage.cached_tokens > 2 * (usage.input_tokens - usage.cached_tokens)
            assert len(caller.outlet.replies) >= len(SAYINGS) / 2
            assert max(costs) < 60
            assert costs[1] < 1.5 * costs[0]

    run_virtual(main(), busy=watch.busy)


async def likeliest(brain: Brain, request: BrainRequest) -> tuple[dict[int, float], int]:
    """The log probabilities of the first tokens that it might write, and how much it had read of the prompt."""
    if isinstance(brain, LlamaBrain):
        body: dict[str, Any] = brain._body(request, 700, 1) | {"stream": False, "logprobs": True, "top_logprobs": 5}
        del body["stream_options"], body["return_progress"]
        answer = brain._server.library.handle_chat_completions(body)
        first = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        cached = answer["usage"]["prompt_tokens_details"]["cached_tokens"]
        return {token["id"]: token["logprob"] for token in first}, cached
    assert brain._mind is not None
    model: Any = brain._mind.model
    read, scores = model.read, list[Any]()

    def watched(cache: Any, tokens: list[int]) -> Any:
        scores.append(read(cache, tokens))
        return scores[-1]

    model.read = watched
    _, finish = await text_of(brain.respond(replace(request, max_output_tokens=1)))
    model.read = read
    last = scores[-1].astype(np.float64)
    logarithms = last - last.max() - np.log(np.exp(last - last.max()).sum())
    return {int(token): float(logarithms[token]) for token in np.argsort(logarithms)[-5:]}, finish.cached_tokens


def test_after_an_interruption_it_has_read_what_was_heard_and_no_more(make: Callable[[], Brain]) -> None:
    """The likeliest next words are those of a model that has read nothing but the words that were heard."""
    watch = Watch()
    settings = replace(SETTINGS, reply=replace(SETTINGS.reply, max_output_tokens=60))

    async def main() -> None:
        used, fresh = make(), make()
        await fresh.load()
        async with conversing(used, settings, watch) as caller:
            await caller.say(SAYINGS[0])
            await caller.until(lambda: caller.outlet.replies and len(caller.outlet.latest.transcript.split()) >= 3)
            await caller.say("wait how old is it")
            cut = await caller.answer()
            assert cut.status == "cancelled"
            await caller.until(lambda: len(caller.outlet.replies) > 1)
            caller.cancel()
            await caller.rest()
            heard = next(item for item in caller.session.conversation if item.role == "assistant").heard()
            assert heard.strip()
            request = mind_of(caller).request(settings.reply)
            system, asked, said, interrupted, *_ = request.messages
            assert (system.text, asked.text, said.text) == ("Listen.", SAYINGS[0], heard.strip())
            assert interrupted.text == "wait how old is it"
            request = replace(request, messages=request.messages[:4])
            there, cached = await likeliest(used, request)
            anew, _ = await likeliest(fresh, request)
            assert cached > 15, "it was not read again"
            assert there == pytest.approx(anew, abs=0.02 if isinstance(used, LlamaBrain) else 1e-3)
        await fresh.close()

    run_virtual(main(), busy=watch.busy)


@pytest.mark.parametrize("library", ["transformers", "mlx-lm"])
def test_an_answer_that_a_cough_put_off_is_not_written_again(library: str, tmp_path: Path) -> None:
    """Nobody has heard it, so it is thrown away; the model reads it in one go, and would write the same."""
    watch = Watch()
    turn = replace(SETTINGS.turn, silence_duration_ms=3000, wished_silence_ms=3000)
    settings = replace(SETTINGS, turn=turn, reply=replace(SETTINGS.reply, max_output_tokens=20))

    async def main() -> None:
        brain = BRAINS[library](write_model(tmp_path / "qwen3"))
        assert isinstance(brain, CachedBrain)
        async with conversing(brain, settings, watch) as caller:
            assert brain._mind is not None
            model, loop = brain._mind.model, asyncio.get_running_loop()
            wrote, checked = asyncio.Event(), list[int]()
            read, check = model.read, model.check

            def watched(cache: Any, tokens: list[int]) -> Any:
                if len(tokens) == 1 and mind_of(caller).heard_words == 6:
                    loop.call_soon_threadsafe(wrote.set)
                return read(cache, tokens)

            def counted(cache: Any, tokens: list[int]) -> Any:
                checked.append(len(tokens))
                return check(cache, tokens)

            model.read, model.check = watched, counted  # type: ignore[method-assign]
            await caller.say(SAYINGS[0])
            await wrote.wait()
            await caller.pause(300)
            await caller.cough(250)
            answer = await caller.answer()
            assert answer.status in ("completed", "incomplete")
            assert len(caller.outlet.replies) == 1
            assert sum(checked) > 2

    run_virtual(main(), busy=watch.busy)


async def act(caller: Caller, line: Line) -> None:
    """A line of the scene, over what is being said where it belongs there."""
    if line.over is not None and caller.outlet.live:
        reply = caller.outlet.latest
        await caller.until(lambda: reply.first_audio_at or reply.status)
        await caller.pause(300)
    await perform(caller, replace(line, over=None))
    if line.awaits:
        await caller.rest()


def test_the_scene_of_two_people_runs_through(make_qwen: Callable[[], Brain]) -> None:
    watch = Watch()
    listening = ListeningSettings(wait_k=3, max_words=120)

    async def main() -> None:
        settings = replace(SETTINGS, listening=listening)
        async with conversing(make_qwen(), settings, watch, session_class=Room) as caller:
            longest = 0
            for line in SCENE:
                await act(caller, line)
                longest = max(longest, sum(len(each.text.split()) for each in mind_of(caller).mind.messages()))
            replies = list(caller.outlet)
            assert len(replies) >= len(SCENE) / 2
            assert {reply.status for reply in replies} <= {"completed", "cancelled", "incomplete", None}
            assert mind_of(caller).heard_words >= sum(len(line.words.split()) for line in SCENE)
            assert longest < 3 * 120

    run_virtual(main(), busy=watch.busy)


def test_what_it_keeps_to_itself_is_heard_by_nobody(make_qwen: Callable[[], Brain]) -> None:
    """A model that never says ``speak`` thinks, and is silent."""
    watch = Watch()
    listening = ListeningSettings(wait_k=3, speak_tool=True, thoughts=True)

    async def main() -> None:
        settings = replace(SETTINGS, listening=listening)
        async with conversing(make_qwen(), settings, watch, session_class=Room) as caller:
            for line in SCENE[:4]:
                await act(caller, line)
            await caller.until(lambda: caller.outlet.named("thought"))
            assert not caller.outlet.replies
            assert any(message.role == "assistant" for message in mind_of(caller).mind.messages())

    run_virtual(main(), busy=watch.busy)
