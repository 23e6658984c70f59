from __future__ import annotations

import pytest

from antiphon.errors import ProtocolError
from antiphon.transport.realtime.offer import Offer, read_agent, read_model, read_vendor_model, read_voice

OFFER = Offer(
    models=("alice", "openai:qwen3:8b"),
    voices=("amy", "joe"),
    transcription_models=("tiny",),
    voice_called={"joseph": "joe"}.get,
    agents={"front": None},
)


def test_what_a_model_does_is_told() -> None:
    assert [OFFER.stage_of(model) for model in ("alice", "tiny", "amy")] == ["llm", "asr", "tts"]


def test_a_model_goes_by_its_own_name_too() -> None:
    named = ("openai:qwen3:8b", "qwen3:8b", "alice", "gpt-realtime", "")
    assert [read_model(name, OFFER) for name in named] == ["openai:qwen3:8b", "openai:qwen3:8b", "alice", "", ""]


def test_our_own_field_goes_before_what_was_chosen_and_an_empty_name_is_the_default() -> None:
    def read(own: object) -> str:
        return read_vendor_model({"antiphon": own}, "openai:qwen3:8b", OFFER, "session.antiphon")

    assert [read(own) for own in (None, {}, {"model": "alice"}, {"model": ""})] == [
        "openai:qwen3:8b",
        "openai:qwen3:8b",
        "alice",
        "",
    ]


@pytest.mark.parametrize(
    ("given", "read"),
    [("joe", "joe"), ({"id": "joe"}, "joe"), ("joseph", "joe"), ("marin", "amy"), ({"id": "marin"}, "amy")],
)
def test_a_voice_that_is_not_there_is_the_one_that_is_meant_or_the_default(given: object, read: str) -> None:
    assert read_voice(given, OFFER, "voice") == read


def test_a_voice_without_a_name_and_an_agent_that_is_not_there_are_refused() -> None:
    with pytest.raises(ProtocolError, match="a voice's name") as caught:
        read_voice({"id": 3}, OFFER, "audio.output.voice")
    assert caught.value.param == "audio.output.voice"
    with pytest.raises(ProtocolError, match="one of front"):
        read_agent({"agent": "back"}, OFFER)
    assert [read_agent(own, OFFER) for own in (None, {}, {"agent": "front"})] == [None, None, "front"]
