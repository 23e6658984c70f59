from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from antiphon.apps.wav import read_wav, write_stereo
from antiphon.audio import samples_of
from antiphon.errors import ConfigError

RATE_HZ = 24_000


def riff(tag: int, channels: int, rate_hz: int, bits: int, data: bytes, *, extensible: bool = False) -> bytes:
    frame = channels * bits // 8
    form = struct.pack("<HHIIHH", 0xFFFE if extensible else tag, channels, rate_hz, rate_hz * frame, frame, bits)
    if extensible:
        form += struct.pack("<HHIH", 22, bits, 0, tag) + bytes(14)
    note = struct.pack("<4sI", b"LIST", 3) + b"abc\0"
    body = struct.pack("<4sI", b"fmt ", len(form)) + form + note + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI4s", b"RIFF", len(body) + 4, b"WAVE") + body


def tone(rate_hz: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate_hz // 5) / rate_hz)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_rate_becomes_the_one_that_is_asked_for(tmp_path: Path, rate_hz: int, channels: int) -> None:
    samples = np.repeat((tone(rate_hz) * 32768).astype("<i2"), channels)
    path = tmp_path / "tone.wav"
    path.write_bytes(riff(1, channels, rate_hz, 16, samples.tobytes()))
    read = samples_of(read_wav(path, RATE_HZ))
    assert len(read) == pytest.approx(RATE_HZ / 5, abs=3)
    expected = (tone(RATE_HZ) * 32768)[1000:3000]
    assert np.max(np.abs(read[1000:3000] - expected)) < 500


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(("tag", "bits"), [(1, 8), (1, 16), (1, 24), (1, 32), (3, 32), (3, 64)])
def test_any_sample_format_is_read(tmp_path: Path, tag: int, bits: int, extensible: bool) -> None:
    values = tone(RATE_HZ)
    if tag == 3:
        data = values.astype(f"<f{bits // 8}").tobytes()
    elif bits == 8:
        data = (values * 127 + 128).astype(np.uint8).tobytes()
    else:
        wide = (values * (2**31 - 1)).astype("<i4")
        data = wide.view(np.uint8).reshape(-1, 4)[:, 4 - bits // 8 :].tobytes()
    path = tmp_path / "tone.wav"
    path.write_bytes(riff(tag, 1, RATE_HZ, bits, data, extensible=extensible))
    read = samples_of(read_wav(path, RATE_HZ))
    assert np.max(np.abs(read - values * 32768)) < (450 if bits == 8 else 3)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a WAV file"),
        (b"ID3 and no RIFF at all", "not a WAV file"),
        (riff(1, 1, 0, 16, b"\0\0"), "damaged header"),
        (riff(6, 1, 8000, 8, b"\0\0"), "format 6 with 8 bits"),
    ],
)
def test_what_cannot_be_read_is_told_plainly(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "broken.wav"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=reason):
        read_wav(path, RATE_HZ)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_wav(tmp_path / "none.wav", RATE_HZ)


def test_a_call_is_written_with_one_side_on_each_channel(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_stereo(path, np.array([1, 2, 3], np.int16), np.array([-1], np.int16), RATE_HZ)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, RATE_HZ, 2)
        assert samples_of(file.readframes(10)).tolist() == [1, -1, 2, 0, 3, 0]
    with pytest.raises(ConfigError, match="cannot write"):
        write_stereo(tmp_path / "no" / "folder.wav", np.zeros(1, np.int16), np.zeros(1, np.int16), RATE_HZ)
