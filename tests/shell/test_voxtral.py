"""Voxtral's libraries with a tiny model of random weights. Module ``voxtral_model`` is tested here as well."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.shell.fleet_client import WAIT_S, staged
from tests.shell.tiny_voxtral import write_voxtral
from transformers import AutoProcessor, VoxtralForConditionalGeneration

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines import tone_code, voxtral, voxtral_model
from antiphon.engines.brains import MultiBrain
from antiphon.engines.catalog import make_brain
from antiphon.engines.mistral_chat import mistral_chat
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.optional import hears_audio
from antiphon.engines.voxtral import VoxtralBrain
from antiphon.engines.voxtral_model import Written
from antiphon.errors import ConfigError, EngineError
from antiphon.voices.brain import FleetBrain

SAID = tone_code.encode("what time is it", EAR_RATE_HZ)
SAID_OTHERWISE = tone_code.encode("good morning everybody", EAR_RATE_HZ)
CHUNK_TOKENS = 375
"""For each 30 s of audio, begun or whole."""


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_voxtral


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_voxtral(tmp_path_factory.mktemp("voxtral") / "tiny")


@pytest.fixture
async def brain(files: Path) -> AsyncIterator[VoxtralBrain]:
    engine = VoxtralBrain(str(files), device="cpu")
    await engine.load()
    yield engine
    await engine.close()


def said(pcm: bytes = SAID, *, most: int = 12, tools: tuple[Tool, ...] = ()) -> BrainRequest:
    return BrainRequest((Message("system", "Be kind."), Message("user", audio=pcm)), tools, max_output_tokens=most)


async def answer(brain: Any, request: BrainRequest) -> tuple[str, Finish]:
    deltas: list[BrainDelta] = [delta async for delta in brain.respond(request)]
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)), finish


async def test_it_answers_what_was_said(brain: VoxtralBrain) -> None:
    text, finish = await answer(brain, said())
    assert len(text) == 12
    assert (finish.reason, finish.output_tokens) == ("length", 12)
    assert CHUNK_TOKENS < finish.input_tokens < CHUNK_TOKENS + 20
    assert await answer(brain, said()) == (text, finish)
    assert (await answer(brain, said(SAID_OTHERWISE)))[0] != text


async def test_it_writes_what_the_library_itself_would(brain: VoxtralBrain, files: Path) -> None:
    processor: Any = AutoProcessor.from_pretrained(files)
    model: Any = VoxtralForConditionalGeneration.from_pretrained(files).eval()
    messages = (Message("user", audio=SAID), Message("assistant", "Noon."), Message("user", audio=SAID_OTHERWISE))
    inputs = processor.apply_chat_template(mistral_chat(messages))
    with torch.inference_mode():
        written = model.generate(**inputs, max_new_tokens=20, pad_token_id=11)[0, inputs["input_ids"].shape[1] :]
    text, _ = await answer(brain, BrainRequest(messages, max_output_tokens=20))
    assert text == processor.tokenizer.decode(written, skip_special_tokens=True)


async def test_what_was_heard_is_not_heard_again(brain: VoxtralBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    features = VoxtralForConditionalGeneration.get_audio_features

    def counted(model: Any, taken: Any, **more: Any) -> Any:
        pieces.append(len(taken))
        return features(model, taken, **more)

    monkeypatch.setattr(VoxtralForConditionalGeneration, "get_audio_features", counted)
    first = (Message("user", audio=SAID_OTHERWISE),)
    await answer(brain, BrainRequest(first, max_output_tokens=1))
    assert pieces == [1]
    longer = (*first, Message("assistant", "Noon."), Message("user", audio=SAID))
    await answer(brain, BrainRequest(longer, max_output_tokens=1))
    assert pieces == [1, 1]
    monkeypatch.setattr(voxtral_model, "_REMEMBERED", 1)
    text, _ = await answer(brain, BrainRequest(longer, max_output_tokens=9))
    assert brain._model is not None
    assert sum(map(len, brain._model._memory.values())) == 1
    monkeypatch.undo()
    assert (await answer(brain, BrainRequest(longer, max_output_tokens=9)))[0] == text


async def test_each_thing_that_was_said_is_heard_in_its_place(brain: VoxtralBrain) -> None:
    before = (Message("user", audio=SAID), Message("assistant", "Noon."))
    text, finish = await answer(brain, BrainRequest((*before, Message("user", audio=SAID)), max_output_tokens=12))
    assert finish.input_tokens > 2 * CHUNK_TOKENS
    swapped = (Message("user", audio=SAID_OTHERWISE), *before[1:])
    assert (await answer(brain, BrainRequest((*swapped, Message("user", audio=SAID)), max_output_tokens=12)))[0] != text


async def test_a_conversation_in_text_is_answered_too(brain: VoxtralBrain) -> None:
    text, finish = await answer(brain, BrainRequest((Message("user", "What time is it?"),), max_output_tokens=5))
    assert (len(text), finish.output_tokens) == (5, 5)
    assert finish.input_tokens < 40


async def test_it_writes_down_what_was_said(brain: VoxtralBrain) -> None:
    request = BrainRequest((Message("user", audio=SAID),), max_output_tokens=8, transcribe=True)
    text, finish = await answer(brain, request)
    assert (len(text), finish.output_tokens) == (8, 8)
    assert text != (await answer(brain, said(most=8)))[0]


async def test_more_than_half_a_minute_is_heard_in_pieces(brain: VoxtralBrain) -> None:
    _, finish = await answer(brain, said(bytes(2 * EAR_RATE_HZ * 31), most=2))
    assert finish.input_tokens > 2 * CHUNK_TOKENS


async def test_words_come_one_by_one_and_none_is_written_for_nobody(
    brain: VoxtralBrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = 0
    is_end = voxtral_model.VoxtralModel.is_end

    def counted(model: voxtral_model.VoxtralModel, token: int) -> bool:
        nonlocal tokens
        tokens += 1
        return is_end(model, token)

    monkeypatch.setattr(voxtral_model.VoxtralModel, "is_end", counted)
    async with aclosing(brain.respond(said(most=100_000))) as deltas:
        for _ in range(3):
            assert isinstance(await anext(deltas), TextDelta)
    at_close = tokens
    await brain.close()  # returns when the threads have ended
    assert tokens <= at_close + 1


async def test_several_answers_are_written_at_a_time(brain: VoxtralBrain) -> None:
    alone = [await answer(brain, said(pcm, most=300)) for pcm in (SAID, SAID_OTHERWISE)]
    order: list[str] = []

    async def noted(name: str, pcm: bytes) -> tuple[str, Finish]:
        text: list[str] = []
        finish = Finish()
        async for delta in brain.respond(said(pcm, most=300)):
            if isinstance(delta, TextDelta):
                order.append(name)
                text.append(delta.text)
            elif isinstance(delta, Finish):
                finish = delta
        return "".join(text), finish

    together = await asyncio.gather(noted("a", SAID), noted("b", SAID_OTHERWISE))
    assert list(together) == alone
    assert order.index("b") < len(order) - 1 - order[::-1].index("a"), "the second began before the first had ended"


async def test_an_answer_ends_where_the_model_ends_it(brain: VoxtralBrain) -> None:
    model = brain._model
    assert model is not None
    tokenizer: Any = model._tokenizer
    ends = tokenizer.eos_token_id
    told: list[str] = []
    text = voxtral_model._Text(model, threading.Event(), told.append)
    with model._turns:
        text.put(None)  # the prompt
        for token in (*tokenizer.encode("grüß", add_special_tokens=False), ends):
            text.put([token])
        text.end()
    assert told == ["g", "r", "ü", "ß"], "a character of two tokens comes when it is whole"
    assert (text.ended, text.count, text.calls) == (True, 7, "")


async def test_calls_of_functions_are_not_spoken(brain: VoxtralBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    model = brain._model
    assert model is not None
    tokenizer: Any = model._tokenizer
    mark = tokenizer.convert_tokens_to_ids("[TOOL_CALLS]")
    call = tokenizer.encode('[{"name": "now", "arguments": {"zone": "UTC"}}]', add_special_tokens=False)
    told: list[str] = []
    text = voxtral_model._Text(model, threading.Event(), told.append)
    with model._turns:
        text.put(None)
        for token in (*tokenizer.encode("so", add_special_tokens=False), mark, *call, tokenizer.eos_token_id):
            text.put([token])
        text.end()
    assert "".join(told) == "so"
    written = Written(9, text.count, text.ended, text.calls)
    monkeypatch.setattr(voxtral_model.VoxtralModel, "answer", lambda *_: written)
    [delta, finish] = [delta async for delta in brain.respond(said())]
    assert isinstance(delta, ToolCallDelta)
    assert (delta.name, delta.arguments) == ("now", '{"zone":"UTC"}')
    assert finish == Finish("tool_calls", 9, text.count)


async def test_functions_are_offered_to_the_model(brain: VoxtralBrain) -> None:
    tool = Tool("now", "Tells the time", {"type": "object", "properties": {"zone": {"type": "string"}}})
    plain = (await answer(brain, said(most=1)))[1].input_tokens
    assert (await answer(brain, said(most=1, tools=(tool,))))[1].input_tokens > plain + 50
    called = (
        Message("user", audio=SAID),
        Message("assistant", call_id="call_1", name="now", arguments="{}"),
        Message("tool", "noon", call_id="call_1"),
    )
    text, _ = await answer(brain, BrainRequest(called, (tool,), max_output_tokens=4))
    assert len(text) == 4


async def test_what_goes_wrong_is_told_and_does_no_harm(brain: VoxtralBrain, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Written:
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(voxtral_model.VoxtralModel, "answer", fail)
        with pytest.raises(EngineError, match=r"could not answer this.*out of memory"):
            await answer(brain, said())
    assert (await answer(brain, said()))[1].output_tokens == 12


async def test_before_and_after_its_life(files: Path) -> None:
    engine = VoxtralBrain(str(files), device="cpu")
    with pytest.raises(EngineError, match="load"):
        await answer(engine, said())
    await engine.load()
    await engine.load()
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="load"):
        await answer(engine, said())


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("/nowhere/at/all", "no folder"),
        ("mistralai/no-such-model", "hf download"),
        ("mini-3b", "antiphon models pull voxtral:mini-3b"),
    ],
)
async def test_a_model_that_is_not_there(
    model: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    engine = VoxtralBrain(model)
    with pytest.raises(EngineError, match=told):
        await engine.load()
    await engine.close()


async def test_broken_files(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    engine = VoxtralBrain(str(tmp_path))
    with pytest.raises(EngineError, match="cannot be read"):
        await engine.load()
    await engine.close()


async def test_without_its_packages(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "antiphon.engines.voxtral_model", None)
    engine = VoxtralBrain(str(files))
    with pytest.raises(EngineError, match=r"antiphon\[voxtral\]"):
        await engine.load()
    await engine.close()


async def test_its_names(files: Path) -> None:
    named = await make_brain(f"voxtral:{files}", device="cpu")
    assert (named.name, hears_audio(named)) == ("voxtral:tiny", True)
    assert (await make_brain("voxtral")).name == f"voxtral:{voxtral.DEFAULT_MODEL}"
    with pytest.raises(ConfigError, match="no device"):
        await make_brain("voxtral", device="tpu")


async def test_a_worker_hosts_it(files: Path, tmp_path: Path) -> None:
    async with asyncio.timeout(WAIT_S), staged(tmp_path, "llm", f"voxtral:{files}") as stage:
        brain = FleetBrain(stage.fleet)
        assert hears_audio(brain)
        text, finish = await answer(brain, said())
        assert (len(text), finish.output_tokens) == (12, 12)
        assert (await answer(brain, said(SAID_OTHERWISE)))[0] != text
        request = BrainRequest((Message("user", audio=SAID),), max_output_tokens=8, transcribe=True)
        assert len((await answer(brain, request))[0]) == 8


async def test_it_hears_beside_a_model_that_does_not(files: Path, tmp_path: Path) -> None:
    """One worker has both, and one process."""
    deaf, voxtral_name = "scripted:first_token_ms=1,token_ms=1", f"voxtral:{files}"
    heard = replace(said(), model=voxtral_name)
    async with asyncio.timeout(WAIT_S), staged(tmp_path, "llm", f"{deaf}+{voxtral_name}") as stage:
        fleet = FleetBrain(stage.fleet)
        assert [hears_audio(fleet, name) for name in ("", deaf, voxtral_name)] == [False, False, True]
        text, finish = await answer(fleet, heard)
        assert (len(text), finish.output_tokens) == (12, 12)
    several = MultiBrain({deaf: await make_brain(deaf), "voxtral": await make_brain(voxtral_name, device="cpu")})
    await several.load()
    try:
        name = several.models[1]
        assert [hears_audio(several, model) for model in (*several.models, "nobody")] == [False, True, False]
        assert (await answer(several.of_session("s"), replace(heard, model=name)))[0] == text
    finally:
        await several.close()
