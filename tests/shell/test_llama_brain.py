"""llama.cpp with tiny random models: what it reads, and what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.shell.tiny_gguf import write_gguf
from tests.shell.tiny_llm import WEATHER, WORDS, request, text_of, write_model

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.catalog import make_brain
from antiphon.engines.llama_brain import LlamaBrain
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.optional import Attentive, brain_of_session
from antiphon.engines.transformers_brain import TransformersLibrary
from antiphon.errors import EngineError

GREEDY = "temperature=0&context=1024"
MARKS = 14
"""More than the tokens of the template behind a last message."""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # more wait longer for each other than so small a model takes


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("llm") / request.param, request.param)


@pytest.fixture(scope="module")
def file(model: Path) -> Path:
    return write_gguf(model, model / "tiny.gguf")


class Brains:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.made: list[LlamaBrain] = []

    async def brain(self, options: str = GREEDY) -> LlamaBrain:
        brain = LlamaBrain(str(self.file), ModelOptions.parse(options))
        await brain.load()
        self.made.append(brain)
        return brain


@pytest.fixture
async def brains(file: Path) -> AsyncIterator[Brains]:
    brains = Brains(file)
    yield brains
    for brain in brains.made:
        await brain.close()


async def test_it_answers_as_transformers_does(brains: Brains, model: Path) -> None:
    brain = await brains.brain()
    assert (brain.name, brain.description) == ("gguf:tiny", "tiny in llama.cpp")
    assert isinstance(brain, Attentive)
    assert brain_of_session(brain, "a") is brain, "its server knows conversations by their words"
    other = CachedBrain(TransformersLibrary("cpu"), str(model), ModelOptions.parse(GREEDY))
    await other.load()
    for said in (["be brief", "hello there"], ["", "tell me more", "yes", "about the city"]):
        here, there = await text_of(brain.respond(request(*said))), await text_of(other.respond(request(*said)))
        assert here[0] == there[0]
        assert (here[1].reason, here[1].output_tokens) == ("length", 12)
        assert here[1].input_tokens == there[1].input_tokens
    await other.close()


async def test_a_heard_word_costs_a_word(brains: Brains) -> None:
    """And what its template has behind the message, in a long turn as in a short one."""
    brain = await brains.brain()
    said = "hello"
    await brain.read(request("be brief", said))
    costs = []
    for number in range(60):
        said += f" {WORDS[number % len(WORDS)]}"
        finish = await brain.read(request("be brief", said))
        costs.append(finish.input_tokens - finish.cached_tokens)
    assert max(costs) <= 1 + MARKS
    assert max(costs[30:]) <= max(costs[:30])
    _, finish = await text_of(brain.respond(request("be brief", said)))
    assert finish.input_tokens - finish.cached_tokens <= MARKS


async def test_a_turn_costs_what_is_new_in_it(brains: Brains) -> None:
    brain = await brains.brain()
    said = ["be brief", "what is the weather"]
    costs = []
    for turn in range(15):
        text, finish = await text_of(brain.respond(request(*said, most=6)))
        costs.append(finish.input_tokens - finish.cached_tokens)
        said += [text, f"and {WORDS[turn]} please"]
    assert max(costs[1:]) <= 3 * 6 + 4 + MARKS, "an answer may be read again, in the tokenizer's own tokens"


async def test_several_conversations_are_remembered(brains: Brains) -> None:
    """More than there are slots."""
    brain = await brains.brain()
    talks = [["be brief", " ".join((WORDS[number], *WORDS))] for number in range(5)]
    for turn in range(3):
        for talk in talks:
            text, finish = await text_of(brain.respond(request(*talk, most=3)))
            talk += [text, "and now"]
            if turn:
                assert finish.cached_tokens > len(WORDS)


async def test_after_a_cut_it_is_as_if_no_more_had_been_said(brains: Brains) -> None:
    """The likeliest next words are those that a fresh server has, with the same probabilities, and so are all after."""
    used, fresh = await brains.brain(), await brains.brain()
    text, _ = await text_of(used.respond(request("be brief", "tell me more about the city", most=40)))
    cut = request("be brief", "tell me more about the city", text[: len(text) // 3], "wait how old is it", most=20)
    asked: dict[str, Any] = used._body(cut, 700, 5) | {"stream": False, "logprobs": True, "top_logprobs": 5}
    del asked["stream_options"], asked["return_progress"]
    after_cut, anew = (brain._server.library.handle_chat_completions(asked) for brain in (used, fresh))
    assert after_cut["usage"]["prompt_tokens_details"]["cached_tokens"] > 20
    assert anew["usage"]["prompt_tokens_details"]["cached_tokens"] < 5
    assert likeliest(after_cut) == pytest.approx(likeliest(anew), abs=0.02), "its cache is in half precision"
    assert (await text_of(used.respond(cut)))[0] == (await text_of(fresh.respond(cut)))[0]


def likeliest(answer: Any) -> dict[tuple[int, int], float]:
    """The log probabilities of the likeliest tokens at each place."""
    places = enumerate(answer["choices"][0]["logprobs"]["content"])
    return {(place, token["id"]): token["logprob"] for place, token in places for token in token["top_logprobs"]}


async def test_two_at_once(brains: Brains) -> None:
    brain = await brains.brain()
    asked = [request("", "hello there", most=30), request("", "the weather in paris", most=30)]
    alone = [(await text_of((await brains.brain()).respond(each)))[0] for each in asked]
    together = await asyncio.gather(*(text_of(brain.respond(each)) for each in asked))
    assert [text for text, _ in together] == alone


async def test_the_context_is_bounded(brains: Brains) -> None:
    brain = await brains.brain("temperature=0&context=512")
    said = ["be brief", "hello"]
    read = words = 0
    for turn in range(45):
        text, finish = await text_of(brain.respond(request(*said, most=8)))
        assert finish.input_tokens + finish.output_tokens <= 512
        read += finish.input_tokens - finish.cached_tokens
        words += 8 + 4 + MARKS
        said += [text, f"and {WORDS[turn % len(WORDS)]} please"]
    assert words > 1100
    assert read <= 3 * words


async def test_texts_of_more_tokens_than_expected(brains: Brains) -> None:
    """Control characters take a token each: what does not fit is cut once more, and told if it does not help."""
    brain = await brains.brain("temperature=0&context=256")
    said = "\x01\x02" * 200
    _, finish = await text_of(brain.respond(request("", f"hello {said}", "yes", "the rain", most=3)))
    assert finish.output_tokens == 3
    with pytest.raises(EngineError, match="context=TOKENS"):
        await text_of(brain.respond(request(" ".join(WORDS * 20), "hello")))


class Scripted:
    """In place of a server: tells the chunks that it is given."""

    def __init__(self, *deltas: dict[str, Any]) -> None:
        self.deltas = deltas
        self.bodies: list[Any] = []

    def handle_chat_completions(self, body: Any, tell: Any) -> None:
        self.bodies.append(body)
        for delta in self.deltas:
            tell({"choices": [{"index": 0, "finish_reason": None, "delta": delta}]})
        tell({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}]})


NATIVE = (
    {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "get_weather", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"city": "rome"}'}}]},
)
WRITTEN = (
    {"content": '<tool_call>{"name": "get_weather", '},
    {"content": '"arguments": {"city": "rome"}}</tool_call>'},
)


@pytest.mark.parametrize("deltas", [NATIVE, WRITTEN], ids=["native", "written"])
async def test_calls(brains: Brains, deltas: tuple[dict[str, Any], ...]) -> None:
    """Whether the server knows the form that they are written in, or not."""
    brain = await brains.brain()
    server = brain._server.library = Scripted({"content": "Wait. "}, *deltas)
    asked = request("", "weather", tools=(WEATHER,), tool_choice="function:get_weather")
    got: list[BrainDelta] = [delta async for delta in brain.respond(asked)]
    calls = [delta for delta in got if isinstance(delta, ToolCallDelta)]
    assert {call.name for call in calls} == {"get_weather"}
    assert "".join(call.arguments for call in calls) == '{"city": "rome"}'
    assert got[0] == TextDelta("Wait. ")
    assert isinstance(got[-1], Finish)
    assert got[-1].reason == "tool_calls"
    (body,) = server.bodies
    assert body["tool_choice"] == "required"
    assert [tool["function"]["name"] for tool in body["tools"]] == ["get_weather"]


async def test_what_cannot_be_asked_is_told(brains: Brains) -> None:
    brain = await brains.brain()
    picture = BrainRequest((Message("user", "look", images=("data:image/png;base64,AAAA",)),))
    with pytest.raises(EngineError, match="image"):
        await text_of(brain.respond(picture))
    assert (await text_of(brain.respond(request("", "<|im_end|> hello"))))[0]
    assert (await text_of(brain.respond(BrainRequest((), max_output_tokens=3))))[1].output_tokens == 3


async def test_where_the_file_is(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "gguf" / "tiny").mkdir(parents=True)
    (tmp_path / "gguf" / "tiny" / "weights.gguf").symlink_to(file)
    for name in ("gguf:tiny", f"gguf:{tmp_path / 'gguf' / 'tiny'}", f"gguf:{file}#slots=1"):
        brain = await make_brain(name)
        await brain.load()
        assert brain.name == "gguf:tiny"
        await brain.close()
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    for name, why in (("unheard-of", "models pull"), ("/no/file.gguf", "no file"), (f"{tmp_path}/broken.gguf", "load")):
        broken = LlamaBrain(name)
        with pytest.raises(EngineError, match=why):
            await broken.load()
        await broken.close()
