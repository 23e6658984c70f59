from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.settings import Detection, Tool, TurnSettings
from antiphon.errors import ProtocolError
from antiphon.sim.wire_schema import check_schema
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.offer import Offer

OFFER = Offer(models=("antiphon", "other"), voices=("amy", "joe"), transcription_models=("tiny",))


def config(**options: Any) -> SessionConfig:
    return SessionConfig(OFFER, session_id="sess_1", expires_at=1_800_000_000, **options)


def input_of(session: SessionConfig) -> dict[str, Any]:
    wire: dict[str, Any] = session.wire()["audio"]["input"]
    return wire


def check(session: SessionConfig) -> None:
    check_schema({"type": "session.updated", "event_id": "e", "session": session.wire()})


def test_an_agent_is_chosen_with_its_voice() -> None:
    offer = Offer(voices=("amy", "joe"), agents={"front": None, "billing": "joe"})
    session = SessionConfig(offer, session_id="sess_1", expires_at=0)
    assert (session.settings().agent, session.voice) == ("front", "amy")
    session.update({"antiphon": {"agent": "billing"}})
    check(session)
    assert (session.settings().agent, session.voice) == ("billing", "joe")
    session.update({"instructions": "Be brief.", "audio": {"output": {"voice": "amy"}}})
    assert (session.settings().agent, session.voice) == ("billing", "amy")
    session.use_agent("night")
    assert session.settings().agent == "night"
    for wrong in ({"agent": "nobody"}, {"agent": 1}, "front"):
        with pytest.raises(ProtocolError, match="antiphon"):
            session.update({"antiphon": wrong, "instructions": "not taken"})
    assert session.wire()["instructions"] == "Be brief."
    with pytest.raises(ProtocolError, match="this server has no agents"):
        config().update({"antiphon": {"agent": "front"}})


def test_an_agent_answers_by_its_own_model_until_the_client_chooses_one_or_it_hands_over() -> None:
    models = ("antiphon", "other", "openai:qwen3:8b")
    agents = {"front": None, "billing": None, "night": None}
    offer = Offer(models=models, agents=agents, agent_models={"front": "qwen3:8b", "night": "other"})
    session = SessionConfig(offer, session_id="sess_1", expires_at=0)
    check(session)

    def shown() -> tuple[str, str]:
        return session.wire()["model"], session.settings().reply.model

    assert shown() == ("openai:qwen3:8b", ""), "the client has chosen nothing"
    session.update({"antiphon": {"model": "antiphon"}})
    assert shown() == ("antiphon", "antiphon")
    assert session.use_agent("night"), "another model answers"
    assert shown() == ("other", "")
    assert not session.use_agent("night")
    assert session.use_agent("billing"), "that one has none of its own"
    assert shown() == ("antiphon", "")
    session.update({"antiphon": {"model": "other"}})
    assert not session.use_agent("night")
    session.update({"antiphon": {"model": "other", "agent": "front"}})
    assert shown() == ("other", "other"), "both are chosen at once"
    session.update({"antiphon": {"agent": "night"}})
    session.update({"antiphon": {"agent": "front"}})
    assert shown() == ("openai:qwen3:8b", "")
    check(session)


def test_a_session_that_transcribes_has_no_agent() -> None:
    offer = Offer(agents={"front": None})
    assert SessionConfig(offer, session_id="s", expires_at=0, kind="transcription").settings().agent == ""


def test_the_defaults_are_those_of_the_service() -> None:
    session = config()
    check(session)
    wire = session.wire()
    assert wire["output_modalities"] == ["audio"]
    assert wire["max_output_tokens"] == "inf"
    assert wire["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "transcription": None,
        "noise_reduction": None,
        "turn_detection": {
            "type": "server_vad",
            "threshold": 0.5,
            "prefix_padding_ms": 300,
            "silence_duration_ms": 200,
            "idle_timeout_ms": None,
            "create_response": True,
            "interrupt_response": True,
        },
    }
    assert wire["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "amy", "speed": 1.0}


def test_what_is_absent_stays_as_it_was() -> None:
    session = config()
    session.update({"instructions": "Be brief.", "audio": {"input": {"turn_detection": {"silence_duration_ms": 700}}}})
    session.update({"type": "realtime", "audio": {"output": {"speed": 1.2}}})
    assert session.wire()["instructions"] == "Be brief."
    assert input_of(session)["turn_detection"]["silence_duration_ms"] == 700
    assert session.settings().turn.silence_duration_ms == 700
    assert session.settings().reply.speed == 1.2


def test_null_disables_and_empty_clears() -> None:
    session = config()
    session.update({"instructions": "x", "tools": [{"type": "function", "name": "f"}]})
    session.update({"audio": {"input": {"transcription": {}, "turn_detection": {"type": "semantic_vad"}}}})
    session.update({"instructions": "", "tools": []})
    session.update({"audio": {"input": {"transcription": None, "turn_detection": None, "noise_reduction": None}}})
    assert session.wire()["instructions"] == ""
    assert session.wire()["tools"] == []
    assert input_of(session)["transcription"] is None
    assert session.settings().turn.detection is Detection.MANUAL
    assert not session.settings().transcription


def test_the_names_of_the_beta_are_understood() -> None:
    session = config()
    session.update(
        {
            "modalities": ["text", "audio"],
            "voice": "joe",
            "input_audio_format": "g711_ulaw",
            "output_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1"},
            "turn_detection": None,
            "max_response_output_tokens": 100,
        }
    )
    check(session)
    assert session.input_format is AudioFormat.PCMU
    assert session.output_format is AudioFormat.PCM
    assert input_of(session)["turn_detection"] is None
    assert input_of(session)["transcription"] == {"model": "tiny", "language": None, "prompt": None}
    assert session.wire()["max_output_tokens"] == 100
    assert session.wire()["audio"]["output"]["voice"] == "joe"
    assert session.wire()["output_modalities"] == ["audio"]


def test_unknown_voices_and_models_become_the_default_and_the_echo_shows_it() -> None:
    session = config()
    session.update({"model": "gpt-realtime", "audio": {"output": {"voice": {"id": "marin"}}}})
    assert session.wire()["model"] == "antiphon"
    assert session.wire()["audio"]["output"]["voice"] == "amy"
    session.update({"audio": {"output": {"voice": {"id": "joe"}}}})
    assert session.settings().reply.voice == "joe"


def test_the_language_model_is_chosen_before_the_session_begins() -> None:
    session = config()
    assert session.settings().reply.model == ""
    session.update({"model": "other"})
    assert session.settings().reply.model == session.wire()["model"] == "other"
    session.update({"model": "gpt-realtime"})
    assert session.settings().reply.model == "other", "a name that means nothing here is not meant"
    session.begun = True
    session.update({"model": "antiphon", "instructions": "x"})
    assert session.settings().reply.model == session.wire()["model"] == "other"
    check(session)


def test_our_own_clients_change_the_language_model_at_any_time() -> None:
    session = config()
    session.begun = True
    session.update({"antiphon": {"model": "other"}})
    assert session.settings().reply.model == session.wire()["model"] == "other"
    session.update({"instructions": "x", "antiphon": {}})
    assert session.wire()["model"] == "other"
    assert session.plan({"antiphon": {"model": "antiphon"}}).settings.model == "antiphon"
    assert session.plan({}).settings.model == "other"
    for nothing in ("", "nobody", None):
        session.update({"antiphon": {"model": nothing}})
        assert session.settings().reply.model == ""
        assert session.wire()["model"] == "antiphon"
        session.update({"antiphon": {"model": "other"}})
    assert "antiphon" not in session.wire()


def test_a_context_that_is_not_to_be_cut_is_given_whole() -> None:
    session = config()
    assert not session.settings().reply.whole_context
    session.update({"truncation": "disabled"})
    assert session.settings().reply.whole_context
    session.update({"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}})
    assert not session.settings().reply.whole_context


def test_the_conversation_to_go_on_with_is_named_before_the_session_begins() -> None:
    session = config()
    session.update({"antiphon": {"conversation": "conv_1"}})
    session.update({"antiphon": {"model": "other"}})
    assert session.conversation == "conv_1"
    session.begun = True
    session.update({"antiphon": {"conversation": "conv_2"}})
    assert session.conversation == "conv_1"


def test_what_was_set_comes_to_plain_settings() -> None:
    session = config()
    session.update(
        {
            "tools": [{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}],
            "tool_choice": {"type": "function", "name": "f"},
            "audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}},
        }
    )
    check(session)
    settings = session.settings()
    assert settings.reply.tools == (Tool("f", "d", {"type": "object"}),)
    assert settings.reply.tool_choice == "function:f"
    assert (settings.turn.detection, settings.turn.eagerness) == (Detection.SEMANTIC, "high")


@pytest.mark.parametrize(
    ("patch", "param"),
    [
        ({"type": "translation"}, "session.type"),
        ({"instructions": 5}, "instructions"),
        ({"output_modalities": ["video"]}, "output_modalities"),
        ({"audio": "loud"}, "audio"),
        ({"audio": {"input": {"format": {"type": "audio/opus"}}}}, "audio.input.format"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "audio.input.format.rate"),
        ({"audio": {"input": {"turn_detection": {"type": "magic"}}}}, "audio.input.turn_detection.type"),
        ({"audio": {"input": {"turn_detection": {"threshold": "high"}}}}, "threshold"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"input_audio_format": ["pcm16"]}, "audio.input.format"),
        ({"antiphon": "other"}, "session.antiphon"),
        ({"antiphon": {"model": 3}}, "session.antiphon.model"),
    ],
)
def test_what_makes_no_sense_is_named_and_changes_nothing(patch: dict[str, Any], param: str) -> None:
    session = config()
    before = session.wire()
    with pytest.raises(ProtocolError) as caught:
        session.update({"model": "other", **patch})
    assert caught.value.param == param
    assert session.wire() == before


def test_a_session_that_would_not_fit_into_an_event_is_refused() -> None:
    session = config()
    with pytest.raises(ProtocolError, match="larger") as caught:
        session.update({"instructions": "x" * 500_000})
    assert caught.value.code == "session_too_large"


def test_a_transcription_session_answers_nothing() -> None:
    session = config(kind="transcription")
    check(session)
    assert session.wire()["type"] == "transcription"
    settings = session.settings()
    assert settings.transcription
    assert not settings.turn.create_response
    session.update({"type": "transcription", "audio": {"input": {"transcription": {"language": "en"}}}})
    assert session.settings().language == "en"


def test_the_servers_own_defaults_hold() -> None:
    turn = TurnSettings(detection=Detection.SEMANTIC, prepare_after_ms=80)
    session = SessionConfig(Offer(turn=turn, instructions="Sing."), session_id="s", expires_at=1, paced=True)
    assert input_of(session)["turn_detection"]["type"] == "semantic_vad"
    settings = session.settings()
    assert settings.turn.paced
    assert settings.turn.prepare_after_ms == 80
    assert settings.reply.instructions == "Sing."


def test_a_response_overrides_the_session_for_itself() -> None:
    session = config()
    session.update({"instructions": "A", "tools": [{"type": "function", "name": "f"}]})
    plan = session.plan(
        {
            "instructions": "B",
            "tools": [],
            "tool_choice": "none",
            "output_modalities": ["text"],
            "conversation": "none",
            "metadata": {"a": "b"},
            "max_output_tokens": 7,
            "audio": {"output": {"voice": "joe", "format": {"type": "audio/pcma"}}},
        }
    )
    assert plan.settings.instructions == "B"
    assert plan.settings.tools == ()
    assert plan.settings.tool_choice == "none"
    assert not plan.settings.audio
    assert plan.settings.max_output_tokens == 7
    assert plan.side
    assert plan.metadata == {"a": "b"}
    assert plan.audio_format is AudioFormat.PCMA
    assert plan.voice == "joe"
    assert session.plan({}).settings.instructions == "A"


@pytest.mark.parametrize("overrides", [{"conversation": "other"}, {"metadata": {"a": 1}}, {"audio": []}])
def test_overrides_that_make_no_sense_are_refused(overrides: dict[str, Any]) -> None:
    overrides = {"audio": ["x"]} if overrides == {"audio": []} else overrides
    with pytest.raises(ProtocolError):
        config().plan(overrides)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-10, 10_000) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELD = st.sampled_from(
    [
        "type",
        "model",
        "instructions",
        "tools",
        "tool_choice",
        "truncation",
        "max_output_tokens",
        "output_modalities",
        "turn_detection",
        "voice",
        "speed",
        "input_audio_format",
        "input_audio_transcription",
        "include",
        "tracing",
    ]
)
DETECTION = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["server_vad", "semantic_vad"]) | JSON,
        "threshold": st.floats() | JSON,
        "silence_duration_ms": st.integers() | JSON,
        "idle_timeout_ms": st.integers() | JSON,
        "eagerness": st.sampled_from(["low", "auto"]) | JSON,
    },
)


@given(st.lists(st.dictionaries(FIELD, JSON | DETECTION, max_size=4), max_size=4))
def test_whatever_a_client_sends_the_echo_is_well_formed(patches: list[dict[str, Any]]) -> None:
    session = config()
    for patch in patches:
        with contextlib.suppress(ProtocolError):
            session.update(patch)
        check(session)
        assert session.settings().turn.prefix_padding_ms == input_of(session).get("prefix_padding_ms", 300)
