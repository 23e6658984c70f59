"""Human speech through the whole server, from microphones of several rates: what is transcribed is what was said."""

from __future__ import annotations

import asyncio
import wave
from importlib.resources import files

import pytest
from tests.e2e.listening import word_error_rate
from tests.e2e.microphone import Microphone
from tests.e2e.plain_client import PlainClient
from tests.e2e.wiretap import Event, Wiretap

from antiphon.audio import G711_RATE_HZ, WIRE_PCM_RATE_HZ, resample, ulaw_encode
from antiphon.core.text import words_of
from antiphon.sim.speech import recordings

pytestmark = pytest.mark.serial  # eight speak at once

WORST_WER = 0.15
MICROPHONES = ("48 kHz", "24 kHz", "16 kHz", "8 kHz mu-law")
TEXTS = {recording.name: recording.text for recording in recordings()}
HEARING = {
    "transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 700, "create_response": False},
}

Heard = list[Event]


def _recorded(name: str, rate_hz: int) -> bytes:
    """The recording as a microphone of that rate would have taken it: mono s16."""
    with (files("moonshine_voice") / "assets" / f"{name}.wav").open("rb") as file, wave.open(file) as recording:
        return resample(recording.readframes(recording.getnframes()), recording.getframerate(), rate_hz)


async def _listen(server: str, name: str, microphone: str) -> Heard:
    """Says the recording to the server in real time; all that the server says to it."""
    mu_law = microphone.endswith("mu-law")
    rate_hz = int(microphone.split()[0]) * 1000
    taken = _recorded(name, rate_hz)
    audio = ulaw_encode(taken) if mu_law else resample(taken, rate_hz, WIRE_PCM_RATE_HZ)
    audio_format = {"type": "audio/pcmu"} if mu_law else {"type": "audio/pcm", "rate": WIRE_PCM_RATE_HZ}
    async with Wiretap(server) as tap, PlainClient(tap) as client:
        await client.configure(audio={"input": {"format": audio_format, **HEARING}})
        wire_hz, silence = (G711_RATE_HZ, b"\xff") if mu_law else (WIRE_PCM_RATE_HZ, b"\0\0")
        async with Microphone(client.hear, wire_hz, silence) as speaker:
            await speaker.say(audio)
            [*_, last] = tap.seen("input_audio_buffer.speech_started")
            await tap.wait_for(
                "conversation.item.input_audio_transcription.completed",
                lambda event: event["item_id"] == last["item_id"],
            )
        return tap.seen()


@pytest.fixture(scope="module")
def heard(server: str) -> dict[tuple[str, str], Heard]:
    """What came of each recording at each microphone. They all speak at once."""
    cases = [(name, microphone) for name in TEXTS for microphone in MICROPHONES]

    async def all_at_once() -> list[Heard]:
        async with asyncio.TaskGroup() as group:
            listeners = [group.create_task(_listen(server, *case)) for case in cases]
        return [listener.result() for listener in listeners]

    return dict(zip(cases, asyncio.run(all_at_once()), strict=True))


def _of(events: Heard, kind: str) -> Heard:
    return [event for event in events if event["type"] == kind]


def _transcript(events: Heard) -> str:
    return " ".join(
        event["transcript"] for event in _of(events, "conversation.item.input_audio_transcription.completed")
    )


@pytest.mark.timeout(300)
@pytest.mark.parametrize("microphone", MICROPHONES)
def test_word_error_rate(heard: dict[tuple[str, str], Heard], microphone: str) -> None:
    """Over all that was said at this microphone: 12 words of the one recording are too few to make a rate of."""
    transcripts = {name: _transcript(heard[name, microphone]) for name in TEXTS}
    rate = word_error_rate(" ".join(transcripts.values()), " ".join(TEXTS.values()))
    assert rate < WORST_WER, transcripts


@pytest.mark.timeout(300)
@pytest.mark.parametrize("microphone", MICROPHONES)
@pytest.mark.parametrize("name", TEXTS)
def test_each_recording_is_understood(heard: dict[tuple[str, str], Heard], name: str, microphone: str) -> None:
    """Wrong are two words at most, or the share that the rate allows of a longer text."""
    transcript = _transcript(heard[name, microphone])
    allowed = max(2, WORST_WER * len(words_of(TEXTS[name])))
    assert word_error_rate(transcript, TEXTS[name]) * len(words_of(TEXTS[name])) < allowed + 0.5, transcript


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TEXTS)
def test_the_transcript_comes_while_the_user_speaks(heard: dict[tuple[str, str], Heard], name: str) -> None:
    events = heard[name, "24 kHz"]
    first_delta = next(
        i for i, e in enumerate(events) if e["type"] == "conversation.item.input_audio_transcription.delta"
    )
    first_stop = next(i for i, e in enumerate(events) if e["type"] == "input_audio_buffer.speech_stopped")
    assert first_delta < first_stop


@pytest.mark.timeout(300)
@pytest.mark.parametrize("microphone", MICROPHONES)
@pytest.mark.parametrize("name", TEXTS)
def test_every_turn_is_transcribed_once(heard: dict[tuple[str, str], Heard], name: str, microphone: str) -> None:
    events = heard[name, microphone]
    started = [event["item_id"] for event in _of(events, "input_audio_buffer.speech_started")]
    committed = [event["item_id"] for event in _of(events, "input_audio_buffer.committed")]
    completed = [event["item_id"] for event in _of(events, "conversation.item.input_audio_transcription.completed")]
    assert started == committed == completed
    assert not _of(events, "response.created")
