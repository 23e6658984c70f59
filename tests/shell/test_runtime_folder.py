"""The folder of a server's sockets."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from antiphon.apps.runtime_folder import runtime_folder


def test_the_folder_is_for_this_user_alone_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with runtime_folder() as folder:
        assert folder.parent == tmp_path
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "tts.sock").touch()
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_left_behind_go_and_those_in_use_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    left = tmp_path / "antiphon-left"
    left.mkdir()
    (left / "lock").touch()
    (left / "asr.sock").touch()
    with runtime_folder() as first, runtime_folder() as second:
        assert first.is_dir()
        assert second.is_dir()
        assert not left.exists()
