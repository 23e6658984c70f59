from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from antiphon.engines.reference_sound import MAX_S, read_reference
from antiphon.errors import EngineError


def tone(seconds: float, rate_hz: int, channels: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    clock = np.arange(int(seconds * rate_hz)) / rate_hz
    return np.repeat(0.5 * np.sin(2 * np.pi * 440 * clock)[:, None], channels, axis=1)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "PCM_16"), ("a.wav", "FLOAT"), ("a.wav", "PCM_24"), ("a.flac", None)]
)
def test_formats(tmp_path: Path, name: str, subtype: str | None) -> None:
    soundfile.write(tmp_path / name, tone(1.0, 44100, 2), 44100, subtype)
    sound = read_reference(tmp_path / name, 24000)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(24000, abs=50)
    expected = tone(1.0, 24000)[: len(sound), 0]
    assert np.abs(sound[1000 : len(expected) - 1000] - expected[1000:-1000]).max() < 0.01


def test_what_is_long_is_cut(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(MAX_S + 2, 8000), 8000)
    assert len(read_reference(tmp_path / "a.wav", 16000)) == int(MAX_S * 16000)


def test_what_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "short.wav", tone(0.2, 8000), 8000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    (tmp_path / "text.mp3").write_text("no sound", encoding="utf-8")
    for name, told in (
        ("short.wav", "too short"),
        ("broken.wav", "is not a WAV"),
        ("text.mp3", "convert it"),
        ("no", "No such"),
    ):
        with pytest.raises(EngineError, match=told):
            read_reference(tmp_path / name, 24000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(EngineError, match=r"antiphon\[audio\]"):
        read_reference(tmp_path / "text.mp3", 24000)
