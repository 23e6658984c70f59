"""Who speaks, through the whole server: a person enrolled from the command line, two strangers, a synthetic voice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from functools import cache
from importlib.resources import files
from pathlib import Path

import pytest
from tests.e2e.conftest import Ask
from tests.e2e.microphone import Microphone
from tests.e2e.plain_client import PlainClient
from tests.e2e.wiretap import Event, Wiretap

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.apps.speakers.book import SpeakerBook
from antiphon.apps.speakers.command import enrol
from antiphon.audio import WIRE_PCM_RATE_HZ, ms_to_bytes, resample
from antiphon.engines.pyannote import Pyannote
from antiphon.errors import ConfigError

SEGMENT = "conversation.item.input_audio_transcription.segment"
COMPLETED = "conversation.item.input_audio_transcription.completed"
HEARING = {
    "transcription": {"model": "whisper-1"},
    "turn_detection": {"type": "server_vad", "silence_duration_ms": 1000, "create_response": False},
}
ASSETS = files("moonshine_voice") / "assets"


@cache
def recorded(name: str) -> bytes:
    with (ASSETS / f"{name}.wav").open("rb") as file, wave.open(file) as recording:
        return resample(recording.readframes(recording.getnframes()), recording.getframerate(), WIRE_PCM_RATE_HZ)


def cut(name: str, start_s: float, end_s: float) -> bytes:
    start, end = (ms_to_bytes(at_s * 1000, WIRE_PCM_RATE_HZ) for at_s in (start_s, end_s))
    return recorded(name)[start:end]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the reader of the first recording is known, by other words than those of the test."""
    where = tmp_path_factory.mktemp("voices")
    enrolled = where / "reader.wav"
    with wave.open(str(enrolled), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(WIRE_PCM_RATE_HZ)
        file.writeframes(cut("two_cities", 20, 32))
    command = [sys.executable, "-m", "antiphon", "voices", "enrol", "Charles", str(enrolled)]
    command += ["--enrolments", str(where / "people")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0 and "Charles is known from now on" in ran.stdout, ran.stderr
    return where / "people"


class Talk:
    """Turns that are said one after the other, and what the server says of each."""

    def __init__(self, tap: Wiretap, microphone: Microphone) -> None:
        self._tap = tap
        self._microphone = microphone

    async def turn(self, audio: bytes) -> list[Event]:
        since = self._tap.mark()
        await self._microphone.say(audio)
        await self._tap.wait_for(COMPLETED, since=since)
        return self._tap.seen(since=since)


def said(events: list[Event]) -> list[tuple[str, bool]]:
    """By whom, and whether there are words."""
    return [(event["speaker"], len(event["text"]) > 5) for event in events if event["type"] == SEGMENT]


@pytest.mark.timeout(180)
async def test_whoever_speaks_is_named_or_numbered_for_the_whole_session(folder: Path, ask: Ask) -> None:
    config = Config(
        port=0, in_process=True, llm="scripted", tts="scripted", speakers="on", enrolments=folder, open_browser=False
    )
    reader, nagg, nell = cut("two_cities", 0, 3.4), ("endgame_nagg_nell", 4.6, 8.1), ("endgame_nagg_nell", 14.5, 17.1)
    async with Server(config) as server, Wiretap(server.url) as tap, PlainClient(tap, events="antiphon") as client:
        await client.configure(audio={"input": HEARING})
        async with Microphone(client.hear) as microphone:
            talk = Talk(tap, microphone)
            told = [
                await talk.turn(audio)
                for audio in (
                    cut(*nagg),
                    reader,
                    ask("The ferry leaves at nine in the morning, and it is the only one."),
                    cut(*nell),
                    cut("endgame_nagg_nell", 4.6, 11.5),
                )
            ]
    assert [said(events) for events in told] == [
        [("Speaker 1", True)],
        [("Charles", True)],
        [("Speaker 2", True)],
        [("Speaker 3", True)],
        [("Speaker 1", True), ("Speaker 3", True)],
    ]
    named = [event["speaker"] for events in told for event in events if event["type"] == "antiphon.speaker"]
    assert named[:4] == ["Speaker 1", "Charles", "Speaker 2", "Speaker 3"]
    *_, before_last, last = [event for event in told[-1] if event["type"] in (SEGMENT, COMPLETED)]
    assert (before_last["type"], last["type"]) == (SEGMENT, COMPLETED)
    first, second = [event for event in told[-1] if event["type"] == SEGMENT]
    assert first["start"] < first["end"] <= second["start"] < second["end"] < 8


@pytest.mark.parametrize(
    ("name", "reason"), [("error", "record at least 3 s"), ("endgame_nagg_nell", "more than one voice")]
)
async def test_a_recording_that_will_not_do_is_refused(folder: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await enrol("Nobody", [Path(str(ASSETS / f"{name}.wav"))], folder)
    assert list(SpeakerBook(folder, Pyannote.name).voices()) == ["Charles"]


async def test_a_voice_that_is_known_by_another_name_is_told(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = shutil.copytree(folder, tmp_path / "people")
    await enrol("Twin", [Path(str(ASSETS / "two_cities.wav"))], people)
    told = capsys.readouterr().out
    assert "Twin is known from now on" in told
    assert "most like Charles's, by 0." in told
    assert "noise" not in told
