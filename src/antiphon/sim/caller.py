"""Scripted callers: a person at a microphone who speaks, interrupts, coughs and types, as the test says.

    async with call(tokens=20) as caller:
        await caller.say("hello there")
        await caller.hears("three four")
        await caller.say("stop that")
        answer = await caller.answer()

The microphone is always open: 20 ms of sound, or of silence, every 20 ms. What the caller says is ``tone_code``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from antiphon.audio import EAR_RATE_HZ, FRAME_MS
from antiphon.core.actions import State
from antiphon.core.commands import CancelResponse, CreateItem, CreateReply
from antiphon.core.conversation import Item
from antiphon.core.memory import Memory
from antiphon.core.settings import ReplySettings, SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech_memory import SpeechMemory
from antiphon.engines import tone_code
from antiphon.engines.scripted import ScriptedBrain, ScriptedRecognizer, ScriptedSynthesizer, ScriptedVad
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource, ReplyId
from antiphon.session.identity import Speakers
from antiphon.session.keeping import Notebook
from antiphon.session.meter import Meter, Recorder
from antiphon.session.session import Session
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.outlet import RecordingOutlet

_EAR_FRAME_BYTES = EAR_RATE_HZ * FRAME_MS // 1000 * 2
_SILENCE = bytes(_EAR_FRAME_BYTES)
_AMPLITUDE = 8000


def scripted_suite(
    *,
    vad: str = "",
    asr: str = "",
    llm: str = "",
    tts: str = "",
    answers: Sequence[str] = (),
) -> Suite:
    """The scripted engines, with their options as on the command line, and with a brain's script of answers."""
    brain = ScriptedBrain.from_options(llm) if not answers else ScriptedBrain(answers=answers)
    return Suite(
        ScriptedVad.from_options(vad),
        ScriptedRecognizer.from_options(asr),
        brain,
        ScriptedSynthesizer.from_options(tts),
    )


def noise(ms: int, amplitude: int = 3000, seed: int = 1) -> bytes:
    """A cough: a sound without words, at 16 kHz."""
    samples = np.random.default_rng(seed).normal(0, amplitude, EAR_RATE_HZ * ms // 1000)
    return samples.clip(-32_768, 32_767).astype("<i2").tobytes()


@dataclass(slots=True)
class Caller:
    """A person in a call. All methods are awaited one after the other; the microphone runs beside them."""

    session: Session
    outlet: RecordingOutlet
    _mouth: bytearray = field(default_factory=bytearray)
    _quiet: asyncio.Event = field(default_factory=asyncio.Event)
    _taken: int = 0
    """How many replies ``answer`` has given out."""

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def microphone(self) -> None:
        """Runs for the whole call."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            frame = bytes(self._mouth[:_EAR_FRAME_BYTES])
            del self._mouth[:_EAR_FRAME_BYTES]
            self.session.hear(frame.ljust(_EAR_FRAME_BYTES, b"\0") if frame else _SILENCE)
            if not self._mouth:
                self._quiet.set()
            next_at += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, next_at - loop.time()))

    # What the caller does.

    async def utter(self, pcm: bytes) -> float:
        """Any sound, mono s16 at 16 kHz; returns, at its end, the time at which it began."""
        began_at = self.now
        self._quiet.clear()
        self._mouth += pcm
        await self._quiet.wait()
        return began_at

    async def say(self, words: str, *, after_ms: int = 0, amplitude: int = _AMPLITUDE) -> float:
        """Speaks; returns, with the last sample, the time of the first. Another ``amplitude`` is another speaker."""
        await self.pause(after_ms)
        return await self.utter(tone_code.encode(words, EAR_RATE_HZ, amplitude=amplitude))

    async def cough(self, ms: int = 200) -> float:
        return await self.utter(noise(ms))

    async def pause(self, ms: float) -> None:
        if ms > 0:
            await asyncio.sleep(ms / 1000)

    async def type(self, text: str, *, respond: bool = True) -> None:
        """Writes a message, and asks for a reply to it."""
        item = Item(self.session.ids.item(), "message", "user", text=text)
        self.session.post(CreateItem(item))
        if respond:
            self.ask()

    def ask(self, settings: ReplySettings | None = None, *, side: bool = False) -> ReplyId:
        """Asks for a reply."""
        reply = self.session.ids.reply()
        self.session.post(CreateReply(reply, settings or ReplySettings(), side))
        return reply

    def cancel(self, reply: ReplyId | None = None) -> None:
        """Takes back a reply: the one named, else the current one."""
        self.session.post(CancelResponse(reply))

    # What the caller waits for.

    async def until(self, holds: Callable[[], object]) -> None:
        await self.outlet.until(holds)

    async def hears(self, words: str) -> None:
        """Waits until the newest reply has been told up to ``words``."""
        await self.until(lambda: self.outlet.replies and words in self.outlet.latest.transcript)

    async def answer(self) -> HeardReply:
        """Waits for the next reply to be over, told and played, and returns it."""
        index = self._taken
        await self.until(lambda: len(self.outlet.replies) > index)
        reply = list(self.outlet)[index]
        await self.until(lambda: reply.status is not None)
        self._taken += 1
        return reply

    async def rest(self) -> None:
        """Waits until nobody speaks and nothing is owed."""
        await self.until(lambda: self.outlet.current_state is State.IDLE)

    def context(self) -> list[tuple[str, str]]:
        """The conversation as a brain would read it now: roles and texts."""
        return [(message.role, message.text) for message in self.session.conversation.context()]


@asynccontextmanager
async def call(
    suite: Suite | None = None,
    settings: SessionSettings | None = None,
    *,
    paced: bool = True,
    seed: int = 1,
    meter: Meter | None = None,
    recorder: Recorder | None = None,
    speakers: Speakers | None = None,
    room_ahead: Callable[[], Ahead] | None = None,
    speech_memory: SpeechMemory | None = None,
    memory: Memory | None = None,
    can_summarize: Callable[[str], bool] = lambda model: True,
    notebook: Notebook | None = None,
    session_class: type[Session] = Session,
) -> AsyncIterator[Caller]:
    """A session with a caller in it, closed at the end. ``paced`` counts where no settings are given."""
    settings = settings or SessionSettings(turn=TurnSettings(paced=paced), transcription=True)
    outlet = RecordingOutlet()
    session = session_class(
        suite or scripted_suite(),
        outlet,
        settings,
        ids=IdSource(seed),
        meter=meter,
        recorder=recorder,
        speakers=speakers,
        room_ahead=room_ahead,
        speech_memory=speech_memory,
        memory=memory,
        can_summarize=can_summarize,
        notebook=notebook,
    )
    caller = Caller(session, outlet)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.run(), name="session")
        microphone = group.create_task(caller.microphone(), name="microphone")
        try:
            yield caller
        finally:
            microphone.cancel()
            session.close()
            await running
