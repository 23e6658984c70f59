"""What makes the engines of each family: the first part of their names, ``engine:model[:voice]``.

Nothing is imported before it is asked for, nothing loaded here. A maker returns None where its family has nothing of
that name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from antiphon.engines.base import Recognizer, Synthesizer, Vad
from antiphon.engines.server_names import named_server


@dataclass(frozen=True, slots=True)
class Asked:
    """An engine as it was asked for. ``rest`` is what its name has after the first colon."""

    name: str
    rest: str
    device: str


def _scripted_vad(asked: Asked) -> Vad:
    from antiphon.engines.scripted import ScriptedVad

    return ScriptedVad.from_options(asked.rest)


def _silero(asked: Asked) -> Vad | None:
    from antiphon.engines.silero import Silero

    return Silero() if asked.name == "silero" else None


VADS: Mapping[str, Callable[[Asked], Vad | None]] = {"silero": _silero, "scripted": _scripted_vad}


def _scripted_recognizer(asked: Asked) -> Recognizer:
    from antiphon.engines.scripted import ScriptedRecognizer

    return ScriptedRecognizer.from_options(asked.rest)


def _moonshine(asked: Asked) -> Recognizer | None:
    from antiphon.engines.moonshine import Moonshine

    return Moonshine() if asked.name in ("moonshine", "moonshine:tiny-en") else None


def _faster_whisper(asked: Asked) -> Recognizer | None:
    from antiphon.engines.faster_whisper import FasterWhisper

    return FasterWhisper(asked.rest, device=asked.device) if asked.rest else None


def _parakeet(asked: Asked) -> Recognizer | None:
    from antiphon.engines.parakeet_mlx import Parakeet

    return Parakeet(asked.rest) if asked.rest else None


def _transcription(asked: Asked) -> Recognizer:
    from antiphon.engines.openai_transcription import OpenAITranscription

    server = named_server(asked.name)
    return OpenAITranscription(server.url, server.model, api_key=server.key, language=server.language)


RECOGNIZERS: Mapping[str, Callable[[Asked], Recognizer | None]] = {
    "moonshine": _moonshine,
    "faster-whisper": _faster_whisper,
    "parakeet": _parakeet,
    "openai": _transcription,
    "http": _transcription,
    "https": _transcription,
    "scripted": _scripted_recognizer,
}


def _scripted_synthesizer(asked: Asked) -> Synthesizer:
    from antiphon.engines.scripted import ScriptedSynthesizer

    return ScriptedSynthesizer.from_options(asked.rest)


def _pico(asked: Asked) -> Synthesizer:
    from antiphon.engines.pico import PicoSynthesizer

    return PicoSynthesizer(asked.rest) if asked.rest else PicoSynthesizer()


def _espeak(asked: Asked) -> Synthesizer:
    from antiphon.engines.espeak import EspeakSynthesizer

    return EspeakSynthesizer(asked.rest) if asked.rest else EspeakSynthesizer()


def _piper(asked: Asked) -> Synthesizer:
    if not asked.rest:
        from antiphon.engines.piper_packs import PiperPacks

        return PiperPacks()
    from antiphon.engines.piper import PiperSynthesizer

    return PiperSynthesizer(asked.rest)


def _kokoro(asked: Asked) -> Synthesizer:
    from antiphon.engines.kokoro import KokoroSynthesizer

    return KokoroSynthesizer(asked.rest)


def _mlx_audio(asked: Asked) -> Synthesizer | None:
    from antiphon.engines.mlx_audio import MlxAudioSynthesizer

    return MlxAudioSynthesizer(*asked.rest.split(":", 1)) if asked.rest else None


def _pocket_tts(asked: Asked) -> Synthesizer:
    from antiphon.engines.pocket_tts import PocketTtsSynthesizer

    return PocketTtsSynthesizer(asked.rest, device=asked.device)


def _csm(asked: Asked) -> Synthesizer:
    from antiphon.engines.csm import DEFAULT_MODEL, CsmSynthesizer

    return CsmSynthesizer(asked.rest or DEFAULT_MODEL, device=asked.device)


def _xtts(asked: Asked) -> Synthesizer:
    from antiphon.engines.xtts import XttsSynthesizer

    return XttsSynthesizer(asked.rest, device=asked.device)


def _cosyvoice(asked: Asked) -> Synthesizer | None:
    from antiphon.engines.cosyvoice import CosyVoiceSynthesizer

    return CosyVoiceSynthesizer(asked.rest, device=asked.device) if asked.rest else None


def _speech(asked: Asked) -> Synthesizer:
    from antiphon.engines.openai_speech import OpenAISpeech

    server = named_server(asked.name)
    return OpenAISpeech(
        server.url, server.model, server.voices, api_key=server.key, language=server.language, rate_hz=server.rate_hz
    )


def _speech_socket(asked: Asked) -> Synthesizer:
    from antiphon.engines.speech_socket import SpeechSocket

    server = named_server(asked.name)
    return SpeechSocket(
        server.url,
        server.model,
        server.voices,
        api_key=server.key,
        language=server.language,
        rate_hz=server.rate_hz,
        word_times=server.word_times,
    )


SYNTHESIZERS: Mapping[str, Callable[[Asked], Synthesizer | None]] = {
    "pico": _pico,
    "espeak": _espeak,
    "piper": _piper,
    "kokoro": _kokoro,
    "mlx-audio": _mlx_audio,
    "pocket-tts": _pocket_tts,
    "csm": _csm,
    "xtts": _xtts,
    "cosyvoice": _cosyvoice,
    "openai": _speech,
    "http": _speech,
    "https": _speech,
    "ws": _speech_socket,
    "wss": _speech_socket,
    "scripted": _scripted_synthesizer,
}
