"""Pipecat's OpenAIRealtimeLLMService, unmodified, in a pipeline with its own aggregators and transports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.llm_service import FunctionCallParams
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SessionProperties,
    TurnDetection,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from tests.e2e.conftest import Ask
from tests.e2e.event_log import PATIENCE_S, EventLog
from tests.e2e.listening import loudness, words_in_common
from tests.e2e.microphone import Microphone
from tests.e2e.omission import Scenario, check_each_is_missed
from tests.e2e.wiretap import Wiretap

from antiphon.audio import resample

EAR_HZ = 16_000
MOUTH_HZ = 24_000
LONG = "What can you do?"


async def get_weather(params: FunctionCallParams, city: str) -> None:
    """Get the current weather in a city.

    Args:
        city: The name of the city.
    """
    await params.result_callback({"sky": "cloudy", "city": city})


class Ear(BaseInputTransport):
    """A transport whose audio comes from the test."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def hear(self, pcm: bytes) -> None:
        await self.push_audio_frame(InputAudioRawFrame(audio=pcm, sample_rate=EAR_HZ, num_channels=1))


class Mouth(BaseOutputTransport):
    """A transport that plays in real time to nobody."""

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await asyncio.sleep(frame.num_frames / frame.sample_rate)
        return True


class Watcher(FrameProcessor):
    """Keeps every frame that passes, either way."""

    def __init__(self, frames: EventLog[Frame]) -> None:
        super().__init__()
        self._frames = frames

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self._frames.add(frame)
        if isinstance(frame, ErrorFrame):
            self._frames.fail(AssertionError(f"the pipeline reports an error: {frame.error}"))
        await self.push_frame(frame, direction)


class Bot:
    """A running pipeline."""

    def __init__(self, worker: PipelineWorker, ear: Ear, context: LLMContext, frames: EventLog[Frame]) -> None:
        self.worker = worker
        self.ear = ear
        self.context = context
        self.frames = frames

    async def until(self, kind: type[Frame], matches: Callable[[Any], Any] = lambda f: True, *, since: int = 0) -> Any:
        return await self.frames.wait_for(kind.__name__, lambda f: isinstance(f, kind) and matches(f), since=since)

    async def reply(self, since: int = 0) -> str:
        """The text of the next reply that is spoken to its end."""
        first = await self.until(TTSTextFrame, since=since)
        begin = self.frames.entries.index(first, since)
        end = await self.until(LLMFullResponseEndFrame, since=begin)
        spoken = self.frames.entries[begin : self.frames.entries.index(end, begin)]
        return "".join(frame.text for frame in spoken if isinstance(frame, TTSTextFrame))

    def audio(self, since: int = 0) -> bytes:
        return b"".join(f.audio for f in self.frames.entries[since:] if isinstance(f, OutputAudioRawFrame))


@asynccontextmanager
async def running(tap: Wiretap, first: str, patience_s: float = PATIENCE_S) -> AsyncIterator[Bot]:
    """A bot whose context begins with a typed turn, which it answers at once."""
    frames: EventLog[Frame] = EventLog(patience_s)
    context = LLMContext([{"role": "user", "content": first}], tools=[get_weather])
    aggregators = LLMContextAggregatorPair(context)
    hearing = AudioInput(transcription=InputAudioTranscription(), turn_detection=TurnDetection(silence_duration_ms=500))
    llm = OpenAIRealtimeLLMService(
        api_key="none",
        base_url=tap.ws_url,
        settings=OpenAIRealtimeLLMService.Settings(
            model="antiphon",
            system_instruction="Be brief.",
            session_properties=SessionProperties(audio=AudioConfiguration(input=hearing)),
        ),
    )
    ear = Ear(TransportParams(audio_in_enabled=True))
    mouth = Mouth(TransportParams(audio_out_enabled=True))
    pipeline = Pipeline(
        [ear, aggregators.user(), Watcher(frames), llm, Watcher(frames), mouth, aggregators.assistant()]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=EAR_HZ, audio_out_sample_rate=MOUTH_HZ),
        cancel_on_idle_timeout=False,
        enable_rtvi=False,
    )
    started = asyncio.Event()

    async def note_start(*_: object) -> None:
        started.set()

    worker.add_event_handler("on_pipeline_started", note_start)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    run = asyncio.create_task(runner.run())
    try:
        await started.wait()
        await worker.queue_frame(LLMRunFrame())
        yield Bot(worker, ear, context, frames)
    finally:
        await runner.cancel()
        await run


async def test_a_conversation_in_speech(server: str, ask: Ask) -> None:
    async with (
        Wiretap(server) as tap,
        running(tap, "My name is Peter.") as bot,
        Microphone(bot.ear.hear, EAR_HZ) as microphone,
    ):
        assert await bot.reply()
        assert loudness(bot.audio()) > 100
        since = bot.frames.mark()
        await microphone.say(resample(ask("What is my name?"), 24_000, EAR_HZ))
        heard = await bot.until(TranscriptionFrame, since=since)
        assert words_in_common(heard.text, "what is my name") > 0.7
        assert "Peter" in await bot.reply(since)


async def test_interruption(server: str, ask: Ask) -> None:
    async with (
        Wiretap(server) as tap,
        running(tap, LONG) as bot,
        Microphone(bot.ear.hear, EAR_HZ) as microphone,
    ):
        whole = await bot.reply()
        since = bot.frames.mark()
        await microphone.say(resample(ask("What is the capital of France?"), 24_000, EAR_HZ))
        await bot.until(InterruptionFrame, since=since)
        truncated = await tap.wait_for("conversation.item.truncated")
        assert truncated["audio_end_ms"] < 1000 * len(bot.audio()) / 2 / MOUTH_HZ
        assert whole
        assert "Paris" in await bot.reply(since)


async def typed_turn(tap: Wiretap, patience_s: float = PATIENCE_S) -> None:
    async with running(tap, "What is the capital of France?", patience_s) as bot:
        await bot.until(TTSStartedFrame)
        assert "Paris" in await bot.reply()
        await bot.until(TTSStoppedFrame)
        assert loudness(bot.audio()) > 100


async def tool_call(tap: Wiretap, patience_s: float = PATIENCE_S) -> None:
    async with running(tap, "What is the weather in Paris?", patience_s) as bot:
        await bot.until(TTSTextFrame)
        assert "cloudy" in await bot.reply()
        [output] = [e["item"] for e in tap.sent("conversation.item.create") if "call_id" in e["item"]]
        assert "Paris" in output["output"]


@pytest.mark.parametrize("scenario", [typed_turn, tool_call])
async def test_scenario(server: str, scenario: Callable[..., Awaitable[None]]) -> None:
    async with Wiretap(server) as tap:
        await scenario(tap)


async def test_a_missing_event_is_noticed(server: str) -> None:
    cases: list[tuple[Scenario, str]] = [
        (typed_turn, "session.created"),
        (typed_turn, "session.updated"),
        (typed_turn, "response.output_audio.delta"),
        (typed_turn, "response.output_audio_transcript.delta"),
        (typed_turn, "response.done"),
        (tool_call, "conversation.item.added"),
        (tool_call, "response.function_call_arguments.done"),
        (tool_call, "response.done"),
    ]
    await check_each_is_missed(server, cases, never_sent=["session.updated"])
