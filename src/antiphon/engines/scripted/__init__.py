"""Deterministic engines with stated times: for simulation, load and comparison. No model, hardly any CPU.

They speak and understand the tones of ``tone_code``. All their waits are the event loop's, so that they run on virtual
time as they do on a wall clock. Each reads its options from ``key=value,key=value``.
"""

from antiphon.engines.scripted.brain import NUMBERS, BrainOptions, ScriptedBrain, count_to
from antiphon.engines.scripted.recognizer import RecognizerOptions, ScriptedRecognizer
from antiphon.engines.scripted.synthesizer import ScriptedSynthesizer, SynthesizerOptions
from antiphon.engines.scripted.vad import ScriptedVad, VadOptions

__all__ = [
    "NUMBERS",
    "BrainOptions",
    "RecognizerOptions",
    "ScriptedBrain",
    "ScriptedRecognizer",
    "ScriptedSynthesizer",
    "ScriptedVad",
    "SynthesizerOptions",
    "VadOptions",
    "count_to",
]
