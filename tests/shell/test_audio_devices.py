"""The devices, with PortAudio replaced by one whose threads the test drives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from antiphon.apps.audio_devices import MAX_WAITING_FRAMES, NoAudioError, check_devices, list_devices, open_devices
from antiphon.apps.echo import APM_FRAME_BYTES, APM_FRAME_SAMPLES, APM_RATE_HZ
from antiphon.apps.realtime_client import ClientError
from antiphon.apps.talk import TalkOptions, talk
from antiphon.audio import samples_of

TIMES = SimpleNamespace(currentTime=1.0, outputBufferDacTime=1.03, inputBufferAdcTime=0.98)


class PortAudioError(Exception):
    pass


class Stream:
    def __init__(self, *, callback: Callable[..., None], device: Any, **shape: Any) -> None:
        if device == "broken":
            raise PortAudioError("no such device")
        self.callback = callback
        self.device = device
        self.shape = shape
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def abort(self) -> None:
        self.calls.append("abort")

    def close(self) -> None:
        self.calls.append("close")


class FakePortAudio(ModuleType):
    """Stands for the module ``sounddevice``."""

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.PortAudioError = PortAudioError
        self.default = SimpleNamespace(device=(0, 1))
        self.streams: dict[str, Stream] = {}
        self.missing: str | None = None

    def RawOutputStream(self, **options: Any) -> Stream:  # noqa: N802
        self.streams["output"] = Stream(**options)
        return self.streams["output"]

    def RawInputStream(self, **options: Any) -> Stream:  # noqa: N802
        self.streams["input"] = Stream(**options)
        return self.streams["input"]

    def query_devices(self, device: Any = None, kind: str | None = None) -> list[dict[str, Any]]:
        if kind is not None and (device == "broken" or kind == self.missing):
            raise PortAudioError(f"Error querying device {device}")
        return [
            {"name": "Mic", "max_input_channels": 1, "max_output_channels": 0},
            {"name": "Speaker", "max_input_channels": 0, "max_output_channels": 2},
        ]

    def hear(self, pcm: bytes) -> None:
        self.streams["input"].callback(pcm, APM_FRAME_SAMPLES, TIMES, None)

    def play(self) -> bytes:
        out = bytearray(APM_FRAME_BYTES)
        self.streams["output"].callback(memoryview(out), APM_FRAME_SAMPLES, TIMES, None)
        return bytes(out)


@pytest.fixture
def port_audio(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def tone(count: int) -> bytes:
    return (8000 * np.sin(2 * np.pi * 440 * np.arange(count) / APM_RATE_HZ)).astype("<i2").tobytes()


def test_devices_are_listed(port_audio: FakePortAudio) -> None:
    assert list_devices() == [
        "  0  Mic  (1 in, 0 out)  default input",
        "  1  Speaker  (0 in, 2 out)  default output",
    ]


async def test_the_microphone_comes_in_20_ms_at_24_khz(port_audio: FakePortAudio) -> None:
    with open_devices("3", "Speaker", microphone=True, cancel_echo=False) as devices:
        assert port_audio.streams["input"].device == 3
        assert port_audio.streams["output"].device == "Speaker"
        sound = tone(APM_FRAME_SAMPLES * 20)
        for at in range(0, len(sound), APM_FRAME_BYTES):
            port_audio.hear(sound[at : at + APM_FRAME_BYTES])
        frames = devices.frames()
        heard = samples_of(b"".join([await anext(frames) for _ in range(10)]))
        await frames.aclose()
    assert len(heard) == pytest.approx(4800, abs=60)
    assert np.max(np.abs(heard[500:4000])) == pytest.approx(8000, rel=0.05)
    assert port_audio.streams["input"].calls == ["start", "abort", "close"]
    assert port_audio.streams["output"].calls == ["start", "abort", "close"]


async def test_the_agents_voice_goes_out_at_48_khz(port_audio: FakePortAudio) -> None:
    with open_devices(None, None, microphone=False, cancel_echo=True) as devices:
        assert set(port_audio.streams) == {"output"}
        devices.push(samples_of(tone(9600))[::2].tobytes())
        devices.finish()
        assert devices.buffered_ms == pytest.approx(200, abs=1)
        played = samples_of(b"".join(port_audio.play() for _ in range(20)))
        assert np.max(np.abs(played[1000:8000])) == pytest.approx(8000, rel=0.05)
        assert devices.buffered_ms == 0
        assert not any(port_audio.play())


async def test_flushing_silences_at_once(port_audio: FakePortAudio) -> None:
    with open_devices(None, None, microphone=False, cancel_echo=False) as devices:
        devices.push(tone(4800))
        assert any(port_audio.play())
        assert devices.flush() > 150
        assert not any(port_audio.play())


async def test_the_echo_is_cancelled_with_the_devices_delay(port_audio: FakePortAudio) -> None:
    """The fake's clock says 30 ms to the loudspeaker and 20 ms from the microphone."""
    noise = np.random.default_rng(1).normal(0, 3000, APM_RATE_HZ * 6).astype("<i2").tobytes()
    with open_devices(None, None, microphone=True, cancel_echo=True) as devices:
        frames = devices.frames()
        devices.push(samples_of(noise)[::2].tobytes())
        devices.finish()
        played = [bytes(APM_FRAME_BYTES)] * 5
        before = after = 0.0
        for number in range(500):
            played.append(port_audio.play())
            echo = (samples_of(played[-6]) // 3).astype("<i2").tobytes()
            port_audio.hear(echo)
            if number % 2:
                clean = samples_of(await anext(frames)).astype(np.float64)
                if number > 300:
                    before += float(np.mean(samples_of(echo).astype(np.float64) ** 2))
                    after += float(np.mean(clean**2))
        await frames.aclose()
    assert 10 * np.log10(before / (after + 1e-9)) > 20


async def test_a_slow_reader_loses_the_oldest(port_audio: FakePortAudio) -> None:
    with open_devices(None, None, microphone=True, cancel_echo=False) as devices:
        for number in range(MAX_WAITING_FRAMES + 10):
            port_audio.hear(bytes([number % 256, 0]) * APM_FRAME_SAMPLES)
        frames = devices.frames()
        await anext(frames)
        await frames.aclose()
        assert devices.dropped_frames >= 8


async def test_an_error_of_the_conversation_stays_what_it_is(port_audio: FakePortAudio) -> None:
    with pytest.raises(ClientError), open_devices(None, None, microphone=True, cancel_echo=False):
        raise ClientError("over")
    assert port_audio.streams["input"].calls[-1] == "close"


async def test_a_device_that_does_not_open(port_audio: FakePortAudio) -> None:
    with (
        pytest.raises(NoAudioError, match=r"no such device.*--list-devices.*--in question.wav --out call.wav"),
        open_devices("broken", None, microphone=True, cancel_echo=False),
    ):
        pass
    assert port_audio.streams["output"].calls[-1] == "close"


@pytest.mark.parametrize("missing", ["input", "output"])
async def test_a_machine_without_a_device_is_told_before_a_server_is_started(
    port_audio: FakePortAudio, missing: str
) -> None:
    check_devices(None, None)
    port_audio.missing = missing
    with pytest.raises(NoAudioError, match=r"no usable audio device.*--in question.wav --out call.wav"):
        await talk(TalkOptions(server_arguments=("--no-such-option",)))


def test_a_device_that_is_not_there(port_audio: FakePortAudio) -> None:
    with pytest.raises(NoAudioError, match="no usable audio device"):
        check_devices(None, "broken")


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(NoAudioError, match=r"pip install 'antiphon\[talk\]'.*--in question.wav --out call.wav"):
        list_devices()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class NoLibrary:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoLibrary(), *sys.meta_path])
    with pytest.raises(NoAudioError, match=r"apt install libportaudio2.*--in question.wav --out call.wav"):
        list_devices()
