"""The engines that a configuration names."""

from __future__ import annotations

from antiphon.apps.config import Config
from antiphon.engines.base import Brain, Recognizer, Synthesizer, Vad
from antiphon.engines.suite import Suite


async def choose_engines(config: Config, own_port: int) -> Suite:
    from antiphon.engines import scripted

    def options(name: str) -> str:
        return name.partition(":")[2]

    vad: Vad
    if config.vad.startswith("scripted"):
        vad = scripted.ScriptedVad.from_options(options(config.vad))
    else:
        from antiphon.engines.silero import Silero

        vad = Silero()
    recognizer: Recognizer
    if config.asr.startswith("scripted"):
        recognizer = scripted.ScriptedRecognizer.from_options(options(config.asr))
    else:
        from antiphon.engines.moonshine import Moonshine

        recognizer = Moonshine()
    brain: Brain
    if config.llm.startswith("scripted"):
        brain = scripted.ScriptedBrain.from_options(options(config.llm))
    else:
        from antiphon.engines.alice import AliceBrain

        brain = AliceBrain()
    synthesizer: Synthesizer
    if config.tts.startswith("scripted"):
        synthesizer = scripted.ScriptedSynthesizer.from_options(options(config.tts))
    else:
        from antiphon.engines.pico import PicoSynthesizer

        synthesizer = PicoSynthesizer()
    return Suite(vad, recognizer, brain, synthesizer)
