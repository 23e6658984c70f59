"""Piper voices that are described by voice packs: each pack has a model of its own, and all are in memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import fields

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.piper import PiperScales, PiperSynthesizer
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

_SCALES = tuple(field.name for field in fields(PiperScales))
_OPTIONS: dict[str, tuple[type, ...]] = {"speaker": (str, int)} | dict.fromkeys(_SCALES, (float, int))


class PiperPacks:
    """The Synthesizer over the Piper packs; it has no voice besides."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    @property
    def name(self) -> str:
        return "piper"

    @property
    def description(self) -> str:
        return "Piper, with the voices of your voice packs: neural voices on this machine's CPU"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return ()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities()

    async def load(self) -> None:
        """There is nothing to load before a pack."""

    async def close(self) -> None:
        held, self._held = self._held, {}
        for each in held.values():
            await each.engine.close()

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "Piper", takes=("speed", "model", "config"), options=_OPTIONS)
        if pack.model is None:
            raise EngineError("model: a Piper pack needs one, a voice's ONNX file")
        return VoiceInfo(pack.id, pack.languages[0])

    async def add_pack(self, pack: VoicePack) -> None:
        self.pack_voice(pack)
        scales = PiperScales(**{name: float(pack.options[name]) for name in _SCALES if name in pack.options})
        engine = PiperSynthesizer(str(pack.model), pack.config, scales)
        try:
            await engine.load()
            voice = _voice_of(engine, pack)
        except BaseException:
            await engine.close()
            raise
        old = self._held.get(pack.id)
        self._held[pack.id] = _Held(engine, voice)
        if old is not None:
            await old.leave()

    async def remove_pack(self, pack_id: str) -> None:
        held = self._held.pop(pack_id, None)
        if held is not None:
            await held.leave()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        held = self._held.get(voice.name)
        if held is None:
            raise EngineError(f"Piper has no voice pack {voice.name!r}, or has it no longer", retryable=True)
        async with held.used(), aclosing(held.engine.speak(text, Voice(held.voice, voice.speed))) as chunks:
            async for chunk in chunks:
                yield chunk


class _Held:
    """A pack's model. When another has taken its place, it goes with the last speech that it began."""

    def __init__(self, engine: PiperSynthesizer, voice: str) -> None:
        self.engine = engine
        self.voice = voice
        """Of the model's, the one that speaks."""
        self._users = 0
        self._leaves = False

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            await self._close_unused()

    async def leave(self) -> None:
        self._leaves = True
        await self._close_unused()

    async def _close_unused(self) -> None:
        if self._leaves and not self._users:
            await self.engine.close()


def _voice_of(engine: PiperSynthesizer, pack: VoicePack) -> str:
    """The voice of the speaker that the pack wants, by name or number; else the model's own. Raises EngineError."""
    own, *speakers = (voice.name for voice in engine.voices)
    wanted = pack.options.get("speaker")
    if wanted is None:
        return own
    if isinstance(wanted, int) and wanted < len(speakers):
        return speakers[wanted]
    found = next((name for name in speakers if name == f"{own}:{wanted}"), None)
    if found is None:
        names = ", ".join(name.partition(":")[2] for name in speakers) or "none"
        raise EngineError(f"options.speaker: the model has no speaker {wanted!r}; it has {names}")
    return found
