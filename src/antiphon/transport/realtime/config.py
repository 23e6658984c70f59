"""The session object: the service's defaults, deep-merged updates, and what it comes to for the core."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Literal

import orjson

from antiphon.core.settings import Answers, Detection, ReplySettings, SessionSettings, Tool, TurnSettings
from antiphon.errors import ProtocolError
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.legacy import modernized
from antiphon.transport.realtime.offer import Offer, read_agent, read_model, read_vendor_model, read_voice
from antiphon.transport.realtime.session_fields import (
    READERS,
    default_turn_detection,
    merge_input,
    merge_output,
    read_metadata,
    read_side,
    read_transcription,
)

MAX_SESSION_BYTES = 400 * 1024
"""A session object must fit into one event, and those stay under 512 KiB."""


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
                else default_turn_detection(offer.turn, detection.value),
            },
            "output": {"format": AudioFormat.PCM.wire(), "voice": offer.voices[0], "speed": 1.0},
        },
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
        self._agent_chosen = False
        """By the client."""
        self._wire["model"] = self._model_of(self._agent)
        if self._agent:
            self._wire["audio"]["output"]["voice"] = self._voice_of(self._agent)
        if kind == "transcription":
            self._wire["audio"]["input"]["transcription"] = read_transcription({}, None, offer)

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

    def go_on_with(self, agent: str) -> bool:
        """The conversation that is gone on with was with that agent, which has it again unless the client has chosen
        one. A voice that the client has chosen stays. False where there is no such agent any more."""
        if self._agent_chosen or agent == self._agent:
            return True
        if agent not in self._offer.agents:
            return False
        theirs = self._offer.agents[agent] is not None and self.voice == self._voice_of(self._agent)
        self.use_agent(agent)
        if theirs:
            self.use_voice(self._voice_of(agent))
        return True

    def _voice_of(self, agent: str) -> str:
        voice = self._offer.agents[agent]
        return read_voice(voice, self._offer, "voice") if voice else self._offer.voices[0]

    def _model_of(self, agent: str) -> str:
        """The language model that answers where the client chooses none."""
        return read_model(self._offer.agent_models.get(agent, ""), self._offer) or self._offer.models[0]

    def update(self, patch: Json) -> None:
        """Merges a client's session object into this one."""
        chosen = read_agent(patch.get("antiphon"), self._offer)
        agent = chosen or self._agent
        patch = modernized(patch)
        merged = copy.deepcopy(self._wire)
        if agent != self._agent:
            merged["audio"]["output"]["voice"] = self._voice_of(agent)
        kind = patch.get("type") or self._kind
        if kind not in ("realtime", "transcription"):
            raise fields.invalid("session.type", "realtime or transcription")
        for key, read in READERS.items():
            if patch.get(key) is not None:
                merged[key] = read(patch[key])
        merged["instructions"] = fields.text_or(patch, "instructions", merged["instructions"])
        anew = agent != self._agent and agent in self._offer.agent_models
        model = self._chosen(patch, "" if anew else self._model)
        merged["model"] = model or self._model_of(agent)
        if patch.get("audio") is not None:
            audio = fields.mapping(patch["audio"], "audio")
            merge_input(merged["audio"]["input"], fields.mapping(audio.get("input") or {}, "audio.input"), self._offer)
            merge_output(
                merged["audio"]["output"], fields.mapping(audio.get("output") or {}, "audio.output"), self._offer
            )
        if len(orjson.dumps(merged)) > MAX_SESSION_BYTES:
            raise ProtocolError(
                f"The session object is larger than {MAX_SESSION_BYTES} bytes", code="session_too_large"
            )
        self._wire = merged
        self._agent = agent
        self._agent_chosen |= chosen is not None
        self._kind = kind
        self._model = model
        if not self.begun:
            own = fields.mapping(patch.get("antiphon") or {}, "session.antiphon")
            self.conversation = fields.text_or(own, "conversation", self.conversation, "session.antiphon.conversation")

    def _chosen(self, patch: Json, before: str) -> str:
        """The language model that is chosen now, if any: clients send ``model`` again and again, and mean nothing."""
        model = read_model(fields.text_or(patch, "model", ""), self._offer)
        chosen = model if model and not self.begun else before
        return read_vendor_model(patch, chosen, self._offer, "session.antiphon")

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
            **{key: read(source[key]) for key, read in READERS.items() if source.get(key) is not None},
        }
        output = dict(self._wire["audio"]["output"])
        audio = fields.mapping(source.get("audio") or {}, "response.audio")
        merge_output(output, fields.mapping(audio.get("output") or {}, "response.audio.output"), self._offer)
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
            model=read_vendor_model(source, self._model, self._offer, "response.antiphon"),
            speech=self._offer.speech,
            whole_context=wire["truncation"] == "disabled",
        )
        return ReplyPlan(
            settings=settings,
            voice=output["voice"],
            audio_format=AudioFormat(output["format"]["type"]),
            max_output_tokens=wire["max_output_tokens"],
            metadata=read_metadata(source.get("metadata")),
            side=read_side(source.get("conversation")),
        )


def _core_tool_choice(value: str | Json) -> str:
    return value if isinstance(value, str) else f"function:{value['name']}"
