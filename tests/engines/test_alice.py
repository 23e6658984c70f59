"""A.L.I.C.E. with its real patterns: a pure function of the messages that remembers and calls functions."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines.alice import AliceBrain
from antiphon.errors import EngineError


@pytest.fixture(scope="module")
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def alice(cache_folder: Path) -> Iterator[AliceBrain]:
    brain = AliceBrain(cache_folder=cache_folder)
    asyncio.run(brain.load())
    yield brain
    asyncio.run(brain.close())


@dataclass
class Answer:
    text: str
    calls: list[tuple[str, str, str]]
    finish: Finish
    pieces: int


async def answer(brain: AliceBrain, request: BrainRequest) -> Answer:
    deltas = [delta async for delta in brain.respond(request)]
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    assert sum(isinstance(delta, Finish) for delta in deltas) == 1
    calls = [(delta.call_id, delta.name, delta.arguments) for delta in deltas if isinstance(delta, ToolCallDelta)]
    return Answer("".join(texts), calls, finish, len(texts))


async def converse(brain: AliceBrain, *said: str) -> list[Message]:
    messages: list[Message] = []
    for text in said:
        messages.append(Message("user", text))
        messages.append(Message("assistant", (await answer(brain, BrainRequest(tuple(messages)))).text))
    return messages


async def test_it_remembers_a_name(alice: AliceBrain) -> None:
    messages = await converse(alice, "Hello.", "My name is Sam.", "Do you like music?", "What is my name?")
    assert "Sam" in messages[-1].text
    others = await converse(alice, "Hello.", "What is my name?")
    assert "Sam" not in others[-1].text


async def test_what_it_repeats_has_space_around_it(alice: AliceBrain) -> None:
    """Many patterns have none."""
    for name in ("Robert", "Anna", "Sam", "Eve"):
        reply = (await converse(alice, f"My name is {name} and I like apples."))[-1].text
        assert name in re.split(r"[\s.,!?]+", reply)
        assert not re.search(r"[.!?][A-Z]", reply)


async def test_what_it_knows_comes_from_the_messages_alone(alice: AliceBrain, cache_folder: Path) -> None:
    messages = await converse(alice, "My name is Sam.", "I have a dog.", "Tell me a joke.", "What is my name?")
    fresh = AliceBrain(cache_folder=cache_folder)
    await fresh.load()
    random.seed(1)
    state = random.getstate()
    for length in range(len(messages), 0, -2):
        asked = BrainRequest(tuple(messages[: length - 1]))
        assert (await answer(fresh, asked)).text == messages[length - 1].text
    assert random.getstate() == state
    await fresh.close()


async def test_a_reply_that_was_cut_or_thrown_away_does_not_matter_to_what_the_user_said(alice: AliceBrain) -> None:
    named = Message("user", "My name is Sam.")
    await answer(alice, BrainRequest((named, Message("user", "Forget it"))))
    cut = (named, Message("assistant", "Hello"), Message("user", "What is my name?"))
    assert "Sam" in (await answer(alice, BrainRequest(cut))).text


async def test_a_turn_that_went_on_is_one_turn(alice: AliceBrain) -> None:
    in_two = BrainRequest((Message("user", "What is"), Message("user", "your name?")))
    in_one = BrainRequest((Message("user", "What is your name?"),))
    assert (await answer(alice, in_two)).text == (await answer(alice, in_one)).text


async def test_it_speaks_first_and_goes_on(alice: AliceBrain) -> None:
    assert "Antiphon" in (await answer(alice, BrainRequest(()))).text
    assert "Antiphon" in (await answer(alice, BrainRequest((Message("system", "Greet the user."),)))).text
    assert (await answer(alice, BrainRequest((Message("user", "Hi."), Message("assistant", "Hello."))))).text


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Are you a human being?", "computer program"),
        ("Who made you?", "Richard Wallace"),
        ("What time is it?", ":"),
        ("What is the capital of France?", "Paris"),
    ],
)
async def test_it_answers_truthfully_about_itself(alice: AliceBrain, question: str, words: str) -> None:
    reply = (await answer(alice, BrainRequest((Message("user", question),)))).text
    assert words in reply
    assert "  " not in reply


@pytest.mark.parametrize("question", ["Tell me a story.", "Tell me about yourself.", "What can you do?"])
async def test_some_answers_are_long(alice: AliceBrain, question: str) -> None:
    reply = await answer(alice, BrainRequest((Message("user", question),)))
    assert reply.pieces > 60
    assert reply.text.count(".") > 2
    assert reply.finish == Finish("stop", output_tokens=reply.pieces)


async def test_the_length_is_kept(alice: AliceBrain) -> None:
    reply = await answer(alice, BrainRequest((Message("user", "Tell me a story."),), max_output_tokens=5))
    assert reply.text == "Once there was a lighthouse"
    assert reply.finish.reason == "length"


ODD_TURNS = [
    "",
    "...",
    "x" * 5000,
    "why " * 500,
    "Hello. " * 200,
    "<b>&amp;",
    "你好",
    "\0\ud800",
    "system ls",
    "learn *",
]


@pytest.mark.parametrize("said", ODD_TURNS)
async def test_anything_gets_an_answer(alice: AliceBrain, said: str) -> None:
    reply = (await answer(alice, BrainRequest((Message("user", said),)))).text
    assert 0 < len(reply) < 3000


WEATHER = Tool(
    "get_weather",
    "Get the weather in a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


async def test_a_function_is_called_and_its_result_spoken(alice: AliceBrain) -> None:
    asked = (Message("user", "What is the weather in Paris?"),)
    called = await answer(alice, BrainRequest(asked, (WEATHER,)))
    [(call_id, name, arguments)] = called.calls
    assert (name, json.loads(arguments), called.text) == ("get_weather", {"city": "Paris"}, "")
    assert called.finish.reason == "tool_calls"
    told = (
        *asked,
        Message("assistant", call_id=call_id, name=name, arguments=arguments),
        Message("tool", '{"temperature": 21}', call_id=call_id),
    )
    assert (await answer(alice, BrainRequest(told, (WEATHER,)))).text == "The temperature is 21."
    more = (*told, Message("assistant", "The temperature is 21."), Message("user", "Hello!"))
    assert not (await answer(alice, BrainRequest(more, (WEATHER,)))).calls
    again = (*more, Message("assistant", "Hi."), *asked)
    assert (await answer(alice, BrainRequest(again, (WEATHER,)))).calls[0][0] != call_id
    assert not (await answer(alice, BrainRequest(asked, (WEATHER,), "none"))).calls


async def test_a_function_that_runs_or_was_stopped_is_left_at_that(alice: AliceBrain) -> None:
    asked = Message("user", "What is the weather in Paris?")
    call = Message("assistant", call_id="c", name="get_weather", arguments="{}")
    meanwhile = (asked, call, Message("user", "Never mind."))
    stopped = (*meanwhile, Message("tool", '{"cancelled": "The user spoke."}', call_id="c"))
    for messages in (meanwhile, stopped):
        said = await answer(alice, BrainRequest(messages, (WEATHER,)))
        assert not said.calls
        assert said.text
        assert "cancelled" not in said.text


async def test_many_conversations_at_once(alice: AliceBrain) -> None:
    names = ["Ann", "Bob", "Cyd", "Dan", "Eve"] * 4
    talks = await asyncio.gather(*(converse(alice, f"My name is {name}.", "What is my name?") for name in names))
    assert all(name in talk[-1].text for name, talk in zip(names, talks, strict=True))


def test_a_broken_cache_is_made_anew(alice: AliceBrain, cache_folder: Path, tmp_path: Path) -> None:
    [cached] = cache_folder.iterdir()
    whole = cached.read_bytes()
    (tmp_path / cached.name).write_bytes(whole[:100_000])

    async def load_and_ask() -> str:
        brain = AliceBrain(cache_folder=tmp_path)
        await brain.load()
        reply = await answer(brain, BrainRequest((Message("user", "What is the capital of France?"),)))
        await brain.close()
        return reply.text

    assert asyncio.run(load_and_ask()) == "Paris."
    assert (tmp_path / cached.name).stat().st_size == len(whole)
    assert [path.name for path in tmp_path.iterdir()] == [cached.name]


async def test_it_works_where_nothing_can_be_written(alice: AliceBrain, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    brain = AliceBrain(cache_folder=tmp_path / "file" / "folder")
    await brain.load()
    assert (await answer(brain, BrainRequest((Message("user", "Hello."),)))).text
    await brain.close()


async def test_states_in_which_it_cannot_answer(cache_folder: Path) -> None:
    brain = AliceBrain()
    with pytest.raises(EngineError, match="load"):
        await answer(brain, BrainRequest(()))
    await brain.close()
    closed = AliceBrain(cache_folder=cache_folder)
    await closed.load()
    await closed.close()
    with pytest.raises(EngineError, match="closed"):
        await answer(closed, BrainRequest((Message("user", "Hello."),)))
