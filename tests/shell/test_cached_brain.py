"""What models in this process read, word by word, and what they answer, on each library with tiny random models.

Modules ``cached_answer``, ``transformers_brain``, ``transformers_model``, ``mlx_lm_brain`` and ``mlx_lm_model`` are
tested here as well; ``test_transformers_model`` has the rest of the third.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.shell.tiny_llm import WEATHER, WORDS, request, text_of, write_model

from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines import cached_answer
from antiphon.engines.cached_brain import CachedBrain, Library, _Work
from antiphon.engines.mlx_lm_brain import MlxLmLibrary
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.optional import Attentive, Leaving, Remembering, brain_of_session
from antiphon.engines.transformers_brain import TransformersLibrary
from antiphon.errors import EngineError

LIBRARIES: dict[str, Callable[[], Library]] = {
    "transformers": lambda: TransformersLibrary("cpu"),
    "mlx-lm": MlxLmLibrary,
}
MODELS = [(library, family) for library in LIBRARIES for family in ("qwen3", "llama")]
MARKS = 20
"""More than the tokens of the template behind a last message."""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_llm


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llm")
    for family in ("qwen3", "llama"):
        write_model(folder / family, family)
    return folder


class Made:
    """Makes brains over one library and model; keeps what the model has read, and what it scored then."""

    def __init__(self, library: str, folder: Path) -> None:
        self.library = library
        self.folder = folder
        self.reads: list[tuple[Any, int]] = []
        self.scores: list[Any] = []
        self.brains: list[CachedBrain] = []

    async def brain(self, options: str = "temperature=0") -> CachedBrain:
        brain = CachedBrain(LIBRARIES[self.library](), str(self.folder), ModelOptions.parse(options))
        await brain.load()
        self.brains.append(brain)
        model: Any = model_of(brain)
        read = model.read

        def watched(cache: Any, tokens: list[int]) -> Any:
            scores = read(cache, tokens)
            self.reads.append((cache, len(tokens)))
            self.scores.append(scores)
            return scores

        model.read = watched
        return brain


def model_of(brain: CachedBrain) -> Any:
    assert brain._mind is not None
    return brain._mind.model


def contexts_of(brain: CachedBrain) -> Any:
    assert brain._mind is not None
    return brain._mind.contexts


@pytest.fixture(params=MODELS, ids="-".join)
async def made(request: pytest.FixtureRequest, files: Path) -> AsyncIterator[Made]:
    library, family = request.param
    made = Made(library, files / family)
    yield made
    for brain in made.brains:
        await brain.close()


@pytest.fixture(params=LIBRARIES)
async def qwen(request: pytest.FixtureRequest, files: Path) -> AsyncIterator[Made]:
    made = Made(request.param, files / "qwen3")
    yield made
    for brain in made.brains:
        await brain.close()


async def test_what_it_is(qwen: Made) -> None:
    brain = await qwen.brain()
    assert brain.name == f"{qwen.library}:qwen3"
    assert qwen.library in brain.description
    assert isinstance(brain, Attentive)
    assert isinstance(brain, Remembering)
    own = brain_of_session(brain, "a")
    assert isinstance(own, Attentive)
    assert isinstance(own, Leaving)
    assert (own.name, own.description) == (brain.name, brain.description)
    await own.load()
    await own.close()
    assert (await text_of(own.respond(request("", "hello"))))[0], "it is loaded and closed with the one it is of"


async def test_a_heard_word_costs_a_word(made: Made) -> None:
    """Over a long turn, each word is read when it comes, and the answer begins with its marks alone."""
    brain = (await made.brain()).of_session("a")
    said = "hello"
    await brain.read(request("be brief", said))
    for number in range(80):
        said += f" {WORDS[number % len(WORDS)]}"
        finish = await brain.read(request("be brief", said))
        assert finish.input_tokens - finish.cached_tokens == 1, "each of these words is one token"
    _, finish = await text_of(brain.respond(request("be brief", said)))
    assert finish.input_tokens - finish.cached_tokens <= MARKS
    assert finish.output_tokens == 12


async def test_a_turn_costs_what_is_new_in_it(made: Made) -> None:
    """What it wrote itself is not read again, nor is what came before: the cost is flat over a long conversation."""
    brain = (await made.brain()).of_session("a")
    said = ["be brief", "what is the weather"]
    costs = []
    for turn in range(12):
        text, finish = await text_of(brain.respond(request(*said)))
        costs.append(finish.input_tokens - finish.cached_tokens)
        said += [text, f"and {WORDS[turn]} please"]
    assert max(costs[1:]) <= 4 + MARKS
    assert max(costs[6:]) <= max(costs[1:6])


async def test_after_a_cut_it_is_as_if_no_more_had_been_said(made: Made) -> None:
    """The scores of the next word are those of a brain that has read only what was heard, and nothing is read twice."""
    brain = (await made.brain()).of_session("a")
    text, _ = await text_of(brain.respond(request("be brief", "tell me more about the city", most=40)))
    heard = text[: len(text) // 3]
    cut = request("be brief", "tell me more about the city", heard, "wait how old is it", most=1)
    _, finish = await text_of(brain.respond(cut))
    after_cut = made.scores[-1]
    assert finish.input_tokens - finish.cached_tokens <= len(heard) + 5 + MARKS
    assert finish.cached_tokens >= 20
    fresh = await made.brain()
    _, anew = await text_of(fresh.respond(cut))
    assert anew.cached_tokens == 0
    assert anew.input_tokens == finish.input_tokens
    np.testing.assert_allclose(after_cut, made.scores[-1], atol=1e-4)
    longer = request("be brief", "tell me more about the city", heard, "wait how old is it", most=30)
    assert (await text_of(brain.respond(longer)))[0] == (await text_of(fresh.respond(longer)))[0]


async def test_reading_ahead_does_not_change_the_answer(qwen: Made) -> None:
    brain = (await qwen.brain()).of_session("a")
    for number in range(1, 9):
        await brain.read(request("be brief", " ".join(WORDS[:number])))
    await brain.read(request("be brief", "the rain in rome"))  # the recognizer has thought better of it
    read, _ = await text_of(brain.respond(request("be brief", "the rain in rome", most=30)))
    fresh = await qwen.brain()
    assert read == (await text_of(fresh.respond(request("be brief", "the rain in rome", most=30))))[0]


async def test_it_stops_within_a_token(qwen: Made) -> None:
    brain = (await qwen.brain()).of_session("a")
    async with aclosing(brain.respond(request("", "hello", most=500))) as answer:
        await anext(answer)
    seen = len(qwen.reads)
    _, finish = await text_of(brain.respond(request("", "hello there", most=5)))
    assert len(qwen.reads) <= seen + 1 + 1 + 5, "one token that was under way, what is new, and the answer"
    assert finish.cached_tokens >= 4, "what was read for the one that was stopped"


async def test_it_stops_before_all_is_read(qwen: Made) -> None:
    """A prompt is read in pieces, and no further when nobody waits for it."""
    brain = (await qwen.brain()).of_session("a")
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()
    read = model_of(qwen.brains[0]).read

    def told(cache: Any, tokens: list[int]) -> Any:
        loop.call_soon_threadsafe(begun.set)
        return read(cache, tokens)

    model_of(qwen.brains[0]).read = told
    reading = asyncio.create_task(brain.read(request("", " ".join(WORDS * 60))))
    await begun.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    _, finish = await text_of(brain.respond(request("", "hello", most=3)))
    assert finish.output_tokens == 3
    assert sum(tokens for _, tokens in qwen.reads) < 2000


async def test_several_have_their_turns(made: Made) -> None:
    """Two answers at a time, token by token; each is what it would be alone."""
    brain = await made.brain()
    requests = [request("", "hello there"), request("", "the weather in paris please", most=40)]
    alone = [(await text_of((await made.brain()).respond(each)))[0] for each in requests]
    made.reads.clear()
    answers = [text_of(brain.of_session(str(number)).respond(each)) for number, each in enumerate(requests)]
    together = await asyncio.gather(*answers)
    assert [text for text, _ in together] == alone
    order = [id(cache) for cache, _ in made.reads]
    first = [number for number, cache in enumerate(order) if cache == order[0]]
    assert first[-1] - first[0] >= 14, "another one's tokens are between its own"


async def test_a_prepared_answer_and_another_one(qwen: Made) -> None:
    """While one is written for a conversation, another is begun: neither disturbs the other, nor reads all anew."""
    brain = (await qwen.brain()).of_session("a")
    talk = request("be brief", " ".join(WORDS), most=30)
    other = request("be brief", " ".join(WORDS) + " or not", most=30)
    expected = [(await text_of((await qwen.brain()).respond(each)))[0] for each in (talk, other)]
    prepared = brain.respond(talk)
    first = await anext(prepared)
    assert isinstance(first, TextDelta)
    text, finish = await text_of(brain.respond(other))
    assert text == expected[1]
    assert finish.cached_tokens >= len(WORDS)
    rest, _ = await text_of(prepared)
    assert first.text + rest == expected[0]


async def test_a_new_conversation_begins_with_what_others_have_read(qwen: Made) -> None:
    brain = await qwen.brain()
    told = " ".join(WORDS)
    await text_of(brain.of_session("a").respond(request(told, "hello")))
    _, finish = await text_of(brain.of_session("b").respond(request(told, "the weather")))
    assert finish.cached_tokens >= len(WORDS)


async def test_without_a_session_it_goes_by_the_words(qwen: Made) -> None:
    brain = await qwen.brain()
    one, other = ["be brief", "hello there"], ["be long", "the weather in paris"]
    for said in (one, other):
        text, _ = await text_of(brain.respond(request(*said)))
        said += [text, "and now"]
    for said in (one, other):
        _, finish = await text_of(brain.respond(request(*said)))
        assert finish.input_tokens - finish.cached_tokens <= 2 + MARKS


async def test_the_context_is_bounded(qwen: Made) -> None:
    """A conversation far longer than the context: what is held stays below it, and a word costs about two at most."""
    brain = await qwen.brain("temperature=0&context=256")
    own = brain.of_session("a")
    said = ["be brief", "hello"]
    new = 0
    for turn in range(36):
        text, finish = await text_of(own.respond(request(*said, most=8)))
        new += 8 + 4 + MARKS
        said += [text, f"and {WORDS[turn % len(WORDS)]} please"]
        assert finish.input_tokens + finish.output_tokens <= 256
    assert new > 3 * 256
    assert brain.count.read <= 2 * new
    said[-1] = " ".join(WORDS * 20)
    assert (await own.read(request(*said))).input_tokens <= 256


async def test_the_memory_is_bounded(qwen: Made) -> None:
    brain = await qwen.brain("temperature=0&context=512&memory=1")
    most = 1024 * 1024 // model_of(brain).bytes_per_token
    for number in range(12):
        await brain.of_session(str(number)).read(request("", f"{number} " + " ".join(WORDS * 6)))
        assert contexts_of(brain).tokens <= most
    assert 2 <= len(contexts_of(brain)) < 12
    finish = await brain.of_session("11").read(request("", "11 " + " ".join(WORDS * 6)))
    assert finish.cached_tokens == finish.input_tokens, "the newest is still there"


async def ended(work: _Work) -> None:
    """It has given its context back."""
    assert work._job is not None
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    work._job.add_done_callback(lambda _: loop.call_soon_threadsafe(over.set))
    await over.wait()


async def test_what_is_over_is_forgotten(qwen: Made) -> None:
    brain = await qwen.brain()
    own = brain.of_session("a")
    await text_of(own.respond(request("", "hello there")))
    answer = own.respond(request("", "hello there", most=500))
    await anext(answer)
    (work,) = brain._under_way
    own.leave()
    await answer.aclose()
    await ended(work)
    brain.forget("nobody")
    _, finish = await text_of(brain.of_session("b").respond(request("", "weather", most=1)))
    assert finish.cached_tokens < 8
    assert len(contexts_of(brain)) == 1


async def test_calls(qwen: Made) -> None:
    """A function that must be called is: its arguments are what the model writes, and an object in the end."""
    brain = await qwen.brain()
    deltas = [
        delta
        async for delta in brain.respond(
            request("be brief", "the weather", tools=(WEATHER,), tool_choice="function:get_weather")
        )
    ]
    assert isinstance(deltas[-1], Finish)
    plain, finish = await text_of(brain.respond(request("be brief", "the weather", tools=(WEATHER,))))
    assert finish.reason == "length"
    assert plain
    _, without = await text_of(brain.respond(request("be brief", "the weather", tools=(WEATHER,), tool_choice="none")))
    assert without.input_tokens < finish.input_tokens, "functions that must not be called are not told of"


async def test_a_written_call_is_told(qwen: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is made to write one: token by token, as any other text."""
    brain = await qwen.brain()
    assert brain._mind is not None
    tokenizer = brain._mind.tokenizer
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "rome"}}\n</tool_call>'
    to_write = iter([*tokenizer(call).input_ids, next(iter(model_of(brain).stop_tokens))])
    monkeypatch.setattr(type(brain._mind.sampling), "choose", lambda *given: next(to_write))
    deltas = [delta async for delta in brain.respond(request("", "weather", tools=(WEATHER,), most=100))]
    calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
    assert calls[0].name == "get_weather"
    assert "".join(delta.arguments for delta in calls) == '{"city": "rome"}'
    assert deltas[-1].reason == "tool_calls"  # type: ignore[union-attr]


async def test_a_long_answer_waits_to_be_taken(qwen: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of an answer that nobody takes, no more than some tokens are written ahead."""
    monkeypatch.setattr(cached_answer, "AHEAD_TOKENS", 8)
    brain = (await qwen.brain()).of_session("a")
    answer = brain.respond(request("", "hello", most=60))
    await anext(answer)
    await text_of((qwen.brains[0]).of_session("b").respond(request("", "weather", most=30)))
    caches = [id(cache) for cache, _ in qwen.reads]
    assert caches.count(caches[0]) <= cached_answer.AHEAD_TOKENS + 2
    rest, finish = await text_of(answer)
    assert finish.output_tokens == 60
    assert rest


async def test_what_fails_is_told_and_harms_nobody(qwen: Made) -> None:
    brain = await qwen.brain()
    own = brain.of_session("a")
    await text_of(own.respond(request("", "hello there")))
    read = model_of(brain).read

    def failing(cache: Any, tokens: list[int]) -> Any:
        model_of(brain).read = read
        raise MemoryError("no memory")

    model_of(brain).read = failing
    with pytest.raises(EngineError, match="no memory"):
        await text_of(own.respond(request("", "hello there you")))
    text, _ = await text_of(own.respond(request("", "hello there you")))
    assert text == (await text_of((await qwen.brain()).respond(request("", "hello there you"))))[0]


async def test_what_cannot_be_asked(qwen: Made) -> None:
    brain = await qwen.brain("context=256")
    picture = BrainRequest((Message("user", "look", images=("data:image/png;base64,",)),))
    with pytest.raises(EngineError, match="image"):
        await text_of(brain.respond(picture))
    with pytest.raises(EngineError, match="shorten the instructions"):
        await text_of(brain.respond(request(" ".join(WORDS * 20), "hello")))


async def test_before_and_after(qwen: Made) -> None:
    brain = CachedBrain(LIBRARIES[qwen.library](), str(qwen.folder))
    with pytest.raises(EngineError, match="not loaded"):
        await brain.read(request("", "hello"))
    await brain.load()
    await brain.load()
    answer = brain.respond(request("", "hello", most=500))
    await anext(answer)
    await brain.close()
    with pytest.raises(EngineError, match="closed"):
        await text_of(answer)
    brain.forget("a")
    with pytest.raises(EngineError, match="closed"):
        await text_of(brain.respond(request("", "hello")))
    await brain.close()


async def test_a_model_that_is_not_there(qwen: Made, tmp_path: Path) -> None:
    async def failure(folder: Path | str) -> str:
        with pytest.raises(EngineError) as told:
            await CachedBrain(LIBRARIES[qwen.library](), str(folder)).load()
        return str(told.value)

    assert "no folder" in await failure(tmp_path / "nothing")
    assert "hf download" in await failure("unheard-of")
    write_model(tmp_path / "bare", template=None)
    assert "no chat template" in await failure(tmp_path / "bare")
    write_model(tmp_path / "broken")
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"nothing")
    assert str(tmp_path / "broken") in await failure(tmp_path / "broken")
