"""Where models are looked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from antiphon.engines.model_files import FOLDER_VARIABLE, is_path, model_folder, models_folder, only_file
from antiphon.errors import EngineError


def test_the_folder_is_the_platforms_or_the_one_that_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert models_folder() == tmp_path / "antiphon" / "models"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert models_folder() == Path.home() / "Library" / "Caches" / "antiphon" / "models"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert models_folder() == tmp_path / "antiphon" / "Cache" / "models"
    monkeypatch.setenv(FOLDER_VARIABLE, "~/voices")
    assert models_folder() == Path.home() / "voices"


def test_a_model_that_is_missing_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(EngineError, match="antiphon models pull piper:amy"):
        model_folder("piper", "amy")
    (tmp_path / "piper" / "amy").mkdir(parents=True)
    assert model_folder("piper", "amy") == tmp_path / "piper" / "amy"


def test_there_must_be_one_file(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"no file \*\.onnx or \*\.bin"):
        only_file(tmp_path, "*.onnx", "*.bin")
    (tmp_path / "deep").mkdir()
    first = tmp_path / "deep" / "a.onnx"
    first.touch()
    assert only_file(tmp_path, "*.onnx", "a.*") == first
    (tmp_path / "b.onnx").touch()
    with pytest.raises(EngineError, match="2 files"):
        only_file(tmp_path, "*.onnx")


@pytest.mark.parametrize(
    ("model", "path"), [("amy", False), ("en_US-amy-medium", False), ("./amy.onnx", True), ("~/a", True)]
)
def test_paths_are_told_from_names(model: str, path: bool) -> None:
    assert is_path(model) is path
