"""The session object: the service's defaults, deep-merged updates, and what it comes to for the core."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from antiphon.core.settings import (
    Answers,
    Detection,
    ListeningSettings,
    ReplySettings,
    SessionSettings,
    SpeechSettings,
    Tool,
    TurnSettings,
)
from antiphon.errors import ProtocolError
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.legacy import FORMATS, modernized

MAX_SESSION_BYTES = 400 * 1024
"""A session object must fit into one event, and those stay under 512 KiB."""

_EAGERNESS = ("low", "medium", "high", "auto")
_MAX_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Offer:
    """What this server has for a client to choose from; the first of each is its default."""

    models: tuple[str, ...] = ("antiphon",)
    """The language models."""
    voices: tuple[str, ...] = ("default",)
    transcription_models: tuple[str, ...] = ("default",)
    other_models: tuple[str, ...] = ()
    """Those that serve requests without a conversation."""
    instructions: str = ""
    turn: TurnSettings = field(default_factory=TurnSettings)
    max_output_tokens: int | Literal["inf"] = "inf"
    speech: SpeechSettings = field(default_factory=SpeechSettings)
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    voice_called: Callable[[str], str | None] = lambda name: None
    """Which of the voices is meant by a name that is not among them, if any."""
    agents: Mapping[str, str | None] = field(default_factory=dict)
    """The server's agents, each with its voice where it has one of its own. The first serves whoever names none."""
    agent_models: Mapping[str, str] = field(default_factory=dict)
    """The language models of those agents that have one of their own."""

    def stage_of(self, model: str) -> str:
        """What a model does: ``llm``, ``asr`` or ``tts``."""
        return "llm" if model in self.models else "asr" if model in self.transcription_models else "tts"


def _known(value: str | None, offered: tuple[str, ...]) -> str:
    return value if value in offered else offered[0]


def _turn_detection(turn: TurnSettings, kind: str) -> Json:
    """The defaults of one variant."""
    answers = {"create_response": turn.create_response, "interrupt_response": turn.interrupt_response}
    if kind == "semantic_vad":
        return {"type": kind, "eagerness": turn.eagerness, **answers}
    return {
        "type": "server_vad",
        "threshold": turn.threshold,
        "prefix_padding_ms": turn.prefix_padding_ms,
        "silence_duration_ms": turn.silence_duration_ms,
        "idle_timeout_ms": turn.idle_timeout_ms,
        **answers,
    }


def _defaults(offer: Offer) -> Json:
    detection = offer.turn.detection
    return {
        "model": offer.models[0],
        "output_modalities": ["audio"],
        "instructions": offer.instructions,
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": offer.max_output_tokens,
        "tracing": None,
        "truncation": "auto",
        "prompt": None,
        "include": None,
        "audio": {
            "input": {
                "format": AudioFormat.PCM.wire(),
                "transcription": None,
                "noise_reduction": None,
                "turn_detection": None
                if detection is Detection.MANUAL
                else _turn_detection(offer.turn, detection.value),
            },
            "output": {"format": AudioFormat.PCM.wire(), "voice": offer.voices[0], "speed": 1.0},
        },
    }


# Readers of single fields: the effective value of what a client sent.


def read_modalities(value: Any, param: str = "output_modalities") -> list[str]:
    wanted = fields.listing(value, param)
    if not wanted or any(one not in ("text", "audio") for one in wanted):
        raise fields.invalid(param, '["audio"] or ["text"]')
    return ["audio"] if "audio" in wanted else ["text"]


def read_format(value: Any, param: str) -> AudioFormat:
    name = value.get("type") if isinstance(value, dict) else value
    rate = value.get("rate") if isinstance(value, dict) else None
    try:
        audio_format = AudioFormat(FORMATS.get(name, name) if isinstance(name, str) else name)
    except ValueError:
        raise fields.invalid(param, "audio/pcm, audio/pcmu or audio/pcma") from None
    if rate not in (None, audio_format.rate_hz):
        raise fields.invalid(f"{param}.rate", str(audio_format.rate_hz))
    return audio_format


def read_voice(value: Any, offer: Offer, param: str) -> str:
    name = value.get("id") if isinstance(value, dict) else value
    if not isinstance(name, str):
        raise fields.invalid(param, "a voice's name")
    return _known(name if name in offer.voices else offer.voice_called(name), offer.voices)


def read_model(name: str, offer: Offer) -> str:
    """The language model of that name, also without its engine ("qwen3:8b"); empty where there is none such."""
    called = [model for model in offer.models if name in (model, model.partition(":")[2])]
    return called[0] if name and called else ""


def _read_vendor_model(source: Json, current: str, offer: Offer, param: str) -> str:
    """What a client that knows this server chooses by ``antiphon.model``; an empty name is the default."""
    own = fields.mapping(source.get("antiphon") or {}, param)
    return read_model(fields.text_or(own, "model", "", f"{param}.model"), offer) if "model" in own else current


def _read_agent(value: Any, offer: Offer) -> str | None:
    """Of our own fields the agent; None where the client names none."""
    source = fields.mapping(value or {}, "session.antiphon")
    if source.get("agent") is None:
        return None
    name = fields.text(source, "agent", "session.antiphon.agent")
    if name not in offer.agents:
        there_are = f"one of {', '.join(offer.agents)}" if offer.agents else "nothing: this server has no agents"
        raise fields.invalid("session.antiphon.agent", there_are)
    return name


def read_tools(value: Any, param: str = "tools") -> list[Json]:
    """The functions among them; other kinds of tools are not served, and the echo shows it."""
    tools = []
    for index, given in enumerate(fields.listing(value, param)):
        tool = fields.mapping(given, f"{param}[{index}]")
        if tool.get("type", "function") != "function":
            continue
        inner = tool.get("function")
        source = inner if isinstance(inner, dict) else tool
        echo: Json = {"type": "function", "name": fields.text(source, "name", f"{param}[{index}].name")}
        if source.get("description") is not None:
            echo["description"] = fields.text_or(source, "description", "", f"{param}[{index}].description")
        if source.get("parameters") is not None:
            echo["parameters"] = fields.mapping(source["parameters"], f"{param}[{index}].parameters")
        tools.append(echo)
    return tools


def read_tool_choice(value: Any, param: str = "tool_choice") -> str | Json:
    if value in ("auto", "none", "required"):
        return str(value)
    if isinstance(value, dict):
        if value.get("type") != "function":
            return "auto"
        inner = value.get("function")
        return {"type": "function", "name": fields.text(inner if isinstance(inner, dict) else value, "name", param)}
    raise fields.invalid(param, "auto, none, required or a function")


def read_max_tokens(value: Any, param: str = "max_output_tokens") -> int | Literal["inf"]:
    if value == "inf":
        return "inf"
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise fields.invalid(param, 'a positive integer or "inf"')
    return min(value, _MAX_TOKENS)


def _read_truncation(value: Any) -> str | Json:
    if value in ("auto", "disabled"):
        return str(value)
    source = fields.mapping(value, "truncation")
    ratio = min(max(fields.number(source, "retention_ratio", 1.0, "truncation.retention_ratio"), 0.0), 1.0)
    return {"type": "retention_ratio", "retention_ratio": ratio}


def _read_turn_detection(value: Any, current: Json | None, turn: TurnSettings) -> Json | None:
    if value is None or value is False:
        return None
    source = fields.mapping(value, "audio.input.turn_detection")
    kind = source.get("type") or (current["type"] if current else "server_vad")
    if kind not in ("server_vad", "semantic_vad"):
        raise fields.invalid("audio.input.turn_detection.type", "server_vad or semantic_vad")
    merged = dict(current) if current and current["type"] == kind else _turn_detection(turn, kind)
    for key in ("create_response", "interrupt_response"):
        merged[key] = fields.flag(source, key, merged[key])
    if kind == "semantic_vad":
        eagerness = fields.text_or(source, "eagerness", merged["eagerness"])
        if eagerness not in _EAGERNESS:
            raise fields.invalid("audio.input.turn_detection.eagerness", "low, medium, high or auto")
        return {**merged, "eagerness": eagerness}
    merged["threshold"] = min(max(fields.number(source, "threshold", merged["threshold"]), 0.0), 1.0)
    for key in ("prefix_padding_ms", "silence_duration_ms"):
        merged[key] = min(max(fields.whole(source, key, merged[key]), 0), 60_000)
    if "idle_timeout_ms" in source:
        idle = fields.whole(source, "idle_timeout_ms", 0)
        merged["idle_timeout_ms"] = idle if idle > 0 else None
    return merged


def _read_transcription(value: Any, current: Json | None, offer: Offer) -> Json | None:
    if value is None or value is False:
        return None
    source = fields.mapping(value, "audio.input.transcription")
    before = current or {"model": offer.transcription_models[0], "language": None, "prompt": None}
    model = fields.text_or(source, "model", before["model"])
    merged = {**before, "model": _known(model, offer.transcription_models)}
    for key in ("language", "prompt"):
        if key in source:
            merged[key] = fields.text_or(source, key, "") or None
    return merged


def _merge_input(target: Json, source: Json, offer: Offer) -> None:
    if source.get("format") is not None:
        target["format"] = read_format(source["format"], "audio.input.format").wire()
    if "turn_detection" in source:
        target["turn_detection"] = _read_turn_detection(source["turn_detection"], target["turn_detection"], offer.turn)
    if "transcription" in source:
        target["transcription"] = _read_transcription(source["transcription"], target["transcription"], offer)
    # No engine here reduces noise: ``noise_reduction`` is taken and the echo goes on to say null.


def _merge_output(target: Json, source: Json, offer: Offer) -> None:
    if source.get("format") is not None:
        target["format"] = read_format(source["format"], "audio.output.format").wire()
    if source.get("voice") is not None:
        target["voice"] = read_voice(source["voice"], offer, "audio.output.voice")
    target["speed"] = min(max(fields.number(source, "speed", target["speed"], "audio.output.speed"), 0.25), 1.5)


_READERS: dict[str, Callable[[Any], Any]] = {
    "output_modalities": read_modalities,
    "tools": read_tools,
    "tool_choice": read_tool_choice,
    "max_output_tokens": read_max_tokens,
    "truncation": _read_truncation,
}


@dataclass(frozen=True, slots=True)
class ReplyPlan:
    """One reply: what the core needs of it, and what its response object says."""

    settings: ReplySettings
    voice: str
    audio_format: AudioFormat
    max_output_tokens: int | Literal["inf"]
    metadata: dict[str, str] | None = None
    side: bool = False


class SessionConfig:
    """The configuration of one session. ``update`` raises ProtocolError and then has changed nothing."""

    def __init__(
        self,
        offer: Offer,
        *,
        session_id: str,
        expires_at: int,
        kind: Literal["realtime", "transcription"] = "realtime",
        paced: bool = False,
        record: bool = False,
    ) -> None:
        """``expires_at`` is in seconds of the wall clock. ``paced``: the server sends audio on its own clock.
        ``record``: the client wants a record of the session.
        """
        self.id = session_id
        self._offer = offer
        self._expires_at = expires_at
        self._kind: Literal["realtime", "transcription"] = kind
        self.paced = paced
        self.record = record
        self.conversation = ""
        """The id of the conversation to go on with, if the client wants that."""
        self.begun = False
        """The client has been told of it. From then on the protocol knows no change of the model."""
        self._model = ""
        """The language model that the client has chosen, if it has."""
        self._wire = _defaults(offer)
        self._agent = next(iter(offer.agents), "")
        self._wire["model"] = self._model_of(self._agent)
        if self._agent:
            self._wire["audio"]["output"]["voice"] = self._voice_of(self._agent)
        if kind == "transcription":
            self._wire["audio"]["input"]["transcription"] = _read_transcription({}, None, offer)

    @property
    def transcribes_only(self) -> bool:
        """The session answers nothing; it writes down what it hears."""
        return self._kind == "transcription"

    @property
    def interrupts(self) -> bool:
        """The user's speech ends a reply."""
        detection = self._wire["audio"]["input"]["turn_detection"]
        return detection is not None and bool(detection["interrupt_response"])

    @property
    def input_format(self) -> AudioFormat:
        return AudioFormat(self._wire["audio"]["input"]["format"]["type"])

    @property
    def output_format(self) -> AudioFormat:
        return AudioFormat(self._wire["audio"]["output"]["format"]["type"])

    @property
    def voice(self) -> str:
        return str(self._wire["audio"]["output"]["voice"])

    def use_voice(self, voice: str) -> None:
        """Whether it was on offer when the session began or not."""
        self._wire = copy.deepcopy(self._wire)
        self._wire["audio"]["output"]["voice"] = voice

    def use_agent(self, name: str) -> bool:
        """The server has given the conversation to another of its agents, whose language model goes before what the
        client chose until then. Whether another one answers."""
        if name == self._agent:
            return False
        self._agent = name
        if name in self._offer.agent_models:
            self._model = ""
        before, model = self._wire["model"], self._model or self._model_of(name)
        self._wire = {**self._wire, "model": model}
        return bool(model != before)

    def _voice_of(self, agent: str) -> str:
        voice = self._offer.agents[agent]
        return read_voice(voice, self._offer, "voice") if voice else self._offer.voices[0]

    def _model_of(self, agent: str) -> str:
        """The language model that answers where the client chooses none."""
        return read_model(self._offer.agent_models.get(agent, ""), self._offer) or self._offer.models[0]

    def update(self, patch: Json) -> None:
        """Merges a client's session object into this one."""
        agent = _read_agent(patch.get("antiphon"), self._offer) or self._agent
        patch = modernized(patch)
        merged = copy.deepcopy(self._wire)
        if agent != self._agent:
            merged["audio"]["output"]["voice"] = self._voice_of(agent)
        kind = patch.get("type") or self._kind
        if kind not in ("realtime", "transcription"):
            raise fields.invalid("session.type", "realtime or transcription")
        for key, read in _READERS.items():
            if patch.get(key) is not None:
                merged[key] = read(patch[key])
        merged["instructions"] = fields.text_or(patch, "instructions", merged["instructions"])
        anew = agent != self._agent and agent in self._offer.agent_models
        model = self._chosen(patch, "" if anew else self._model)
        merged["model"] = model or self._model_of(agent)
        if patch.get("audio") is not None:
            audio = fields.mapping(patch["audio"], "audio")
            _merge_input(merged["audio"]["input"], fields.mapping(audio.get("input") or {}, "audio.input"), self._offer)
            _merge_output(
                merged["audio"]["output"], fields.mapping(audio.get("output") or {}, "audio.output"), self._offer
            )
        if len(orjson.dumps(merged)) > MAX_SESSION_BYTES:
            raise ProtocolError(
                f"The session object is larger than {MAX_SESSION_BYTES} bytes", code="session_too_large"
            )
        self._wire = merged
        self._agent = agent
        self._kind = kind
        self._model = model
        if not self.begun:
            own = fields.mapping(patch.get("antiphon") or {}, "session.antiphon")
            self.conversation = fields.text_or(own, "conversation", self.conversation, "session.antiphon.conversation")

    def _chosen(self, patch: Json, before: str) -> str:
        """The language model that is chosen now, if any: clients send ``model`` again and again, and mean nothing."""
        model = read_model(fields.text_or(patch, "model", ""), self._offer)
        chosen = model if model and not self.begun else before
        return _read_vendor_model(patch, chosen, self._offer, "session.antiphon")

    def wire(self) -> Json:
        """The effective session object, as ``session.created`` and ``session.updated`` show it."""
        if self.transcribes_only:
            return {
                "type": "transcription",
                "object": "realtime.transcription_session",
                "id": self.id,
                "expires_at": self._expires_at,
                "include": self._wire["include"],
                "audio": {"input": self._wire["audio"]["input"]},
            }
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": self.id,
            "expires_at": self._expires_at,
            **self._wire,
        }

    def settings(self) -> SessionSettings:
        """What it comes to for the core."""
        transcription = self._wire["audio"]["input"]["transcription"]
        return SessionSettings(
            turn=self._turn(),
            reply=self.plan({}).settings,
            listening=self._offer.listening,
            transcription=transcription is not None,
            language=transcription["language"] if transcription else None,
            agent="" if self.transcribes_only else self._agent,
        )

    def _turn(self) -> TurnSettings:
        wire = self._wire["audio"]["input"]["turn_detection"]
        base = replace(self._offer.turn, paced=self.paced, detection=Detection.MANUAL, idle_timeout_ms=None)
        if wire is not None:
            given = {key: value for key, value in wire.items() if key != "type"}
            base = replace(base, detection=Detection(wire["type"]), **given)
        if self.transcribes_only:
            return replace(base, create_response=False, interrupt_response=False, answers=Answers.TURN)
        return base

    def plan(self, overrides: Json) -> ReplyPlan:
        """The session's settings with those of a ``response.create``. Raises ProtocolError."""
        source = modernized(overrides)
        wire = {
            **self._wire,
            **{key: read(source[key]) for key, read in _READERS.items() if source.get(key) is not None},
        }
        output = dict(self._wire["audio"]["output"])
        audio = fields.mapping(source.get("audio") or {}, "response.audio")
        _merge_output(output, fields.mapping(audio.get("output") or {}, "response.audio.output"), self._offer)
        settings = ReplySettings(
            instructions=fields.text_or(source, "instructions", wire["instructions"], "response.instructions"),
            tools=tuple(
                Tool(tool["name"], tool.get("description", ""), tool.get("parameters", {})) for tool in wire["tools"]
            ),
            tool_choice=_core_tool_choice(wire["tool_choice"]),
            audio=wire["output_modalities"] == ["audio"],
            voice=output["voice"],
            speed=output["speed"],
            max_output_tokens=None if wire["max_output_tokens"] == "inf" else wire["max_output_tokens"],
            model=_read_vendor_model(source, self._model, self._offer, "response.antiphon"),
            speech=self._offer.speech,
            whole_context=wire["truncation"] == "disabled",
        )
        return ReplyPlan(
            settings=settings,
            voice=output["voice"],
            audio_format=AudioFormat(output["format"]["type"]),
            max_output_tokens=wire["max_output_tokens"],
            metadata=_read_metadata(source.get("metadata")),
            side=_read_side(source.get("conversation")),
        )


def _core_tool_choice(value: str | Json) -> str:
    return value if isinstance(value, str) else f"function:{value['name']}"


def _read_metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    metadata = fields.mapping(value, "response.metadata")
    if any(not isinstance(entry, str) for entry in metadata.values()) or len(metadata) > 16:
        raise fields.invalid("response.metadata", "at most 16 strings")
    return metadata


def _read_side(value: Any) -> bool:
    if value in (None, "auto"):
        return False
    if value == "none":
        return True
    raise fields.invalid("response.conversation", "auto or none")
