"""The contract of the Synthesizer service, over sockets, with scripted engines and a real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import grpc
import pytest
from tests.shell.worker_client import Request, Speaker, channel_to, hosting, pcm_of, status_of, terminal

from antiphon.audio import FRAME_BYTES, MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.pack_folder import Packs
from antiphon.engines.scripted import count_to
from antiphon.engines.tone_code import decode
from antiphon.engines.voicing import Voicing
from antiphon.v1 import models_pb2 as models
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub
from antiphon.worker.server import WorkerServer

FAST = "scripted:first_audio_ms=0,speed=1000"
AT_ONCE = 100_000
"""Credit for everything."""


@pytest.fixture
async def server() -> AsyncIterator[WorkerServer]:
    async with hosting("tts", FAST, "pico", "scripted:fail_on=2") as server:
        yield server


@pytest.fixture
async def stub(server: WorkerServer) -> AsyncIterator[SynthesizerStub]:
    async with channel_to(server.address) as channel:
        yield SynthesizerStub(channel)  # type: ignore[no-untyped-call]


async def test_a_segment_is_frames_of_20_ms_and_one_end(stub: SynthesizerStub) -> None:
    speaker = Speaker(stub)
    await speaker.credit(AT_ONCE)
    await speaker.say(0, "Hello there.")
    messages = await speaker.segment()
    assert [message.audio.seq for message in messages] == list(range(len(messages)))
    assert {len(message.audio.pcm) for message in messages} == {FRAME_BYTES}
    assert [message.audio.final for message in messages] == [False] * (len(messages) - 1) + [True]
    assert decode(pcm_of(messages), MOUTH_RATE_HZ) == "Hello there."
    words = [word for message in messages for word in message.audio.words]
    assert [(word.start_char, word.end_char) for word in words] == [(0, 5), (6, 12)]
    assert await speaker.close() is grpc.StatusCode.OK


async def test_a_real_engine_says_here_what_it_says_in_process(stub: SynthesizerStub) -> None:
    text = "A rather long sentence, so that it is cut in two. " * 5
    engine = Voicing().one("pico", Packs())
    await engine.load()

    async def pieces() -> AsyncIterator[str]:
        yield text

    async with aclosing(engine.speak(pieces(), Voice("en-GB"))) as chunks:
        expected = b"".join([chunk.pcm async for chunk in chunks])
    await engine.close()
    speaker = Speaker(stub, model="pico", voice="en-GB")
    await speaker.credit(AT_ONCE)
    await speaker.start(0)
    for cut in range(0, len(text), 7):  # as tokens come
        await speaker.text(0, text[cut : cut + 7])
    await speaker.flush(0)
    messages = await speaker.segment()
    assert pcm_of(messages) == expected
    assert all(not any(message.audio.pcm[message.audio.samples * 2 :]) for message in messages if message.audio.samples)


async def test_long_text_sounds_before_it_is_complete(stub: SynthesizerStub) -> None:
    text = count_to(60)
    speaker = Speaker(stub)
    await speaker.credit(AT_ONCE)
    await speaker.start(0)
    await speaker.text(0, text)
    first = await speaker.frames(10)
    await speaker.text(0, " and more")
    await speaker.flush(0)
    rest = await speaker.segment()
    said = b"".join(audio.pcm for audio in first) + pcm_of(rest)
    assert decode(said, MOUTH_RATE_HZ) == text + " and more"
    whole = text + " and more"
    words = [word for audio in [*first, *(message.audio for message in rest)] for word in audio.words]
    assert [whole[word.start_char : word.end_char] for word in words] == whole.split()
    times = [(word.start_sample, word.end_sample) for word in words]
    assert times == sorted(times)


@pytest.mark.parametrize("skip", [1, FRAME_BYTES // 2, 5000, 10**9])
async def test_samples_that_are_known_are_not_sent_again(stub: SynthesizerStub, skip: int) -> None:
    speaker = Speaker(stub)
    await speaker.credit(AT_ONCE)
    await speaker.say(0, "Hello there.")
    whole = await speaker.segment()
    await speaker.say(1, "Hello there.", skip_samples=skip)
    rest = await speaker.segment()
    assert pcm_of(rest) == pcm_of(whole)[skip * 2 :]
    assert [message.audio.seq for message in rest] == list(range(len(rest)))
    words = [word for message in rest for word in message.audio.words]
    assert all(word.end_sample > skip for word in words)


async def test_a_segment_without_text_ends_without_audio_and_credit(stub: SynthesizerStub) -> None:
    speaker = Speaker(stub)
    await speaker.say(0, "")
    (message,) = await speaker.segment()
    assert (message.audio.final, message.audio.pcm) == (True, b"")


async def test_no_frame_leaves_without_credit(stub: SynthesizerStub) -> None:
    speaker = Speaker(stub)
    await speaker.say(0, count_to(20))
    for credit in (1, 25, 3):
        await speaker.credit(credit)
        assert len(await speaker.frames(credit)) == credit
    assert await speaker.silent_for(0.3)
    speaker.call.cancel()


async def test_a_client_stalled_for_a_second_is_never_more_than_half_a_second_behind(stub: SynthesizerStub) -> None:
    stalled, other = Speaker(stub, "stalled"), Speaker(stub, "other")
    await stalled.credit(25)
    await stalled.say(0, count_to(90))
    await asyncio.sleep(1)  # what is tested is that nothing happens in it
    # Others are served meanwhile, and the stalled one finds what it had credit for.
    await other.credit(AT_ONCE)
    await other.say(0, "Hello.")
    assert decode(pcm_of(await other.segment()), MOUTH_RATE_HZ) == "Hello."
    assert [audio.seq for audio in await stalled.frames(25)] == list(range(25))
    assert await stalled.silent_for(0.3)
    stalled.call.cancel()


async def test_pause_stops_frames_and_resume_goes_on_at_the_next_sample(stub: SynthesizerStub) -> None:
    speaker, text = Speaker(stub), count_to(12)
    await speaker.say(0, text)
    await speaker.credit(5)
    heard = await speaker.frames(5)
    await speaker.pause()
    await speaker.credit(AT_ONCE)
    reading = asyncio.ensure_future(speaker.call.read())
    done, _ = await asyncio.wait([reading], timeout=0.3)
    assert not done
    await speaker.resume()
    first = (await reading).audio
    assert first.seq == 5
    rest = await speaker.segment()
    said = b"".join(audio.pcm for audio in [*heard, first]) + pcm_of(rest)
    assert decode(said, MOUTH_RATE_HZ) == text


async def test_control_acts_on_one_session_alone(stub: SynthesizerStub) -> None:
    one, two = Speaker(stub, "one"), Speaker(stub, "two")
    for speaker in (one, two):
        await speaker.say(0, count_to(12))
        await speaker.credit(5)
        await speaker.frames(5)
    control = models.ControlRequest
    assert (await stub.Control(control(verb=control.PAUSE, session="one"))).segments == 1
    await one.credit(AT_ONCE)
    await two.credit(AT_ONCE)
    assert (await two.segment())[-1].audio.final
    reading = asyncio.ensure_future(one.call.read())
    assert not (await asyncio.wait([reading], timeout=0.2))[0]
    assert (await stub.Control(control(verb=control.RESUME, session="one"))).segments == 1
    assert (await reading).audio.seq == 5
    await one.segment()
    await one.say(1, count_to(90))
    await one.frames(3)
    assert (await stub.Control(control(verb=control.STOP, session="one"))).segments == 1
    assert (await one.segment())[-1].WhichOneof("message") == "cancelled"
    await one.say(2, "On.")
    assert decode(pcm_of(await one.segment()), MOUTH_RATE_HZ) == "On."


async def test_stop_ends_what_is_paused(stub: SynthesizerStub) -> None:
    speaker = Speaker(stub, "one")
    await speaker.say(0, count_to(12))
    await speaker.say(1, count_to(12))
    await speaker.credit(2)
    await speaker.frames(2)
    control = models.ControlRequest
    await stub.Control(control(verb=control.PAUSE, session="one"))
    await stub.EndSession(models.EndSessionRequest(session="one"))
    ends = [(await speaker.read()).cancelled for _ in range(2)]
    assert [(end.segment, end.last_seq) for end in ends] == [(0, 1), (1, -1)]


async def test_cancels_at_random_points(stub: SynthesizerStub) -> None:
    """Each segment has one end, and a cancelled one tells the last frame that was sent."""
    randomly, speaker = random.Random(7), Speaker(stub)
    await speaker.credit(AT_ONCE)
    count = 40
    for segment in range(count):
        await speaker.say(segment, count_to(randomly.randrange(1, 20)))
        if randomly.random() < 0.7:
            await asyncio.sleep(randomly.choice((0, 0, 0.002, 0.01)))
            await speaker.cancel(randomly.randrange(segment + 1))
    ends: dict[int, str] = {}
    last_seq: dict[int, int] = {}
    while len(ends) < count:
        message = await speaker.read()
        kind = message.WhichOneof("message")
        assert kind is not None
        segment = getattr(message, kind).segment
        assert segment not in ends
        if kind == "audio":
            assert message.audio.seq == last_seq.get(segment, -1) + 1
            last_seq[segment] = message.audio.seq
        if kind == "cancelled":
            assert message.cancelled.last_seq == last_seq.get(segment, -1)
        if terminal(message):
            ends[segment] = kind
    assert set(ends.values()) == {"audio", "cancelled"}
    assert await speaker.close() is grpc.StatusCode.OK


async def test_a_cancel_stops_the_engine() -> None:
    model = "scripted:speed=1"
    async with hosting("tts", model) as server, channel_to(server.address) as channel:
        speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
        engine = server.models.hosted(model).engine
        await speaker.credit(AT_ONCE)
        await speaker.say(0, count_to(99))
        await speaker.frames(3)
        assert engine.running == 1
        await speaker.cancel(0)
        assert (await speaker.segment())[-1].cancelled.last_seq >= 2
        await speaker.say(1, "")
        await speaker.segment()
        assert engine.running == 0
        speaker.call.cancel()


async def test_closing_the_stream_cancels_what_is_open(stub: SynthesizerStub, server: WorkerServer) -> None:
    speaker = Speaker(stub)
    await speaker.say(0, count_to(90))
    await speaker.call.done_writing()
    assert (await speaker.read()).cancelled.last_seq == -1
    assert await speaker.call.read() is grpc.aio.EOF
    assert server.host.sessions.running == 0


async def test_a_failure_is_told_after_the_frames_and_the_next_segment_goes_on(stub: SynthesizerStub) -> None:
    speaker = Speaker(stub, model="scripted:fail_on=2")  # the first job warms it
    await speaker.credit(AT_ONCE)
    await speaker.say(0, "Hello.")
    (message,) = await speaker.segment()
    assert (message.error.segment, message.error.code, message.error.retryable) == (0, "INTERNAL", False)
    await speaker.say(1, "Hello.")
    assert (await speaker.segment())[-1].audio.final


async def test_an_unknown_model_is_not_found(stub: SynthesizerStub) -> None:
    speaker = Speaker(stub, model="nobody")
    await speaker.say(0, "Hello.")
    (message,) = await speaker.segment()
    assert message.error.code == "NOT_FOUND"


@pytest.mark.parametrize(
    "request_",
    [
        Request(),
        Request(start=Request.Start(segment=1)),
        Request(text=Request.Text(segment=0, text="x")),
        Request(flush=Request.Flush(segment=3)),
    ],
)
async def test_what_breaks_the_contract_ends_the_call(stub: SynthesizerStub, request_: Request) -> None:
    speaker = Speaker(stub)
    await speaker.call.write(request_)
    assert await status_of(speaker.call) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_full_worker_says_so_at_once() -> None:
    async with hosting("tts", FAST, max_concurrent=1) as server, channel_to(server.address) as channel:
        stub = SynthesizerStub(channel)  # type: ignore[no-untyped-call]
        first = Speaker(stub)
        await first.credit(AT_ONCE)
        await first.say(0, "Hello.")
        await first.segment()
        second = Speaker(stub)
        assert await status_of(second.call) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert ("retry-after-s", "1") in tuple(await second.call.trailing_metadata())
        assert await first.close() is grpc.StatusCode.OK
        third = Speaker(stub)
        await third.credit(AT_ONCE)
        await third.say(0, "Hello.")
        assert (await third.segment())[-1].audio.final
        assert await third.close() is grpc.StatusCode.OK


async def test_a_model_that_is_taken_away_in_mid_word(server: WorkerServer, stub: SynthesizerStub) -> None:
    speaker = Speaker(stub)
    await speaker.say(0, count_to(90))
    await speaker.credit(10)
    await speaker.frames(10)
    reply = await stub.UnloadModel(models.UnloadModelRequest(model=FAST, force=True))
    assert reply.model.state == models.MODEL_STATE_ABSENT
    await speaker.credit(AT_ONCE)
    error = (await speaker.segment())[-1].error
    assert (error.code, error.retryable) == ("ABORTED", True)
    await speaker.say(1, "Again.")
    assert decode(pcm_of(await speaker.segment()), MOUTH_RATE_HZ) == "Again."


async def test_over_a_unix_socket_that_only_we_may_open(tmp_path: Path) -> None:
    path = tmp_path / "tts.sock"
    async with hosting("tts", FAST, listen=f"unix://{path}") as server, channel_to(server.address) as channel:
        assert path.stat().st_mode & 0o077 == 0
        speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
        await speaker.credit(AT_ONCE)
        await speaker.say(0, "Hello.")
        assert decode(pcm_of(await speaker.segment()), MOUTH_RATE_HZ) == "Hello."
    assert not path.exists()
