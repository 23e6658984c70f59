"""From a configuration to what conversations are made of: the engines, and what clients may choose from."""

from __future__ import annotations

from dataclasses import replace

from antiphon.apps.config import Config
from antiphon.engines import catalog
from antiphon.engines.suite import Suite
from antiphon.engines.voices import MultiSynthesizer
from antiphon.errors import ConfigError
from antiphon.transport.realtime.config import Offer


async def choose_engines(config: Config, own_port: int | None = None) -> Suite:
    """The engines that the configuration names, not loaded yet. Raises ConfigError.

    ``own_port`` is where we listen ourselves: that is no language model.
    """
    return Suite(
        vad=catalog.make_vad(config.vad),
        recognizer=catalog.make_recognizer(config.asr),
        brain=await catalog.make_brain(config.llm, config.model, exclude_ports=() if own_port is None else (own_port,)),
        synthesizer=catalog.make_synthesizer(config.tts),
    )


def make_offer(config: Config, suite: Suite) -> Offer:
    """What clients may choose from. Raises ConfigError when the voice that the configuration wants is not there.

    That voice is first, and serves clients that ask for one that is not there. Without it, names that mean a voice
    here ("marin", "de") do.
    """
    synthesizer = suite.synthesizer
    voices = tuple(voice.name for voice in synthesizer.voices)
    engines = dict.fromkeys(voice.partition(":")[0] for voice in voices if ":" in voice)
    find = synthesizer.find if isinstance(synthesizer, MultiSynthesizer) else _no_other_names
    offer = Offer(
        models=(suite.brain.name,),
        voices=voices,
        transcription_models=(suite.recognizer.name,),
        other_models=(suite.recognizer.name, *(engines or [synthesizer.name])),
        instructions=config.session.instructions,
        turn=config.session.turn_settings(),
        voice_called=find,
    )
    wanted = config.session.voice
    if wanted is None:
        return offer
    first = wanted if wanted in voices else find(wanted)
    if first is None:
        raise ConfigError(f"session.voice: there is no voice {wanted!r}; there are {', '.join(voices)}")
    return replace(offer, voices=(first, *(voice for voice in voices if voice != first)), voice_called=_no_other_names)


def _no_other_names(name: str) -> str | None:
    return None
