"""The engines that a configuration names."""

from __future__ import annotations

from antiphon.apps.config import Config
from antiphon.engines.scripted import ScriptedBrain, ScriptedRecognizer, ScriptedSynthesizer, ScriptedVad
from antiphon.engines.suite import Suite


async def choose_engines(config: Config, own_port: int) -> Suite:
    def o(name: str) -> str:
        return name.partition(":")[2]

    return Suite(
        ScriptedVad.from_options(o(config.vad)),
        ScriptedRecognizer.from_options(o(config.asr)),
        ScriptedBrain.from_options(o(config.llm)),
        ScriptedSynthesizer.from_options(o(config.tts)),
    )
