from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from antiphon.apps.speakers.book import SpeakerBook, checked_name, speakers_folder
from antiphon.core.enrolment import Enrolment
from antiphon.core.who import likeness
from antiphon.errors import ConfigError

ANN, BEN = Enrolment((1.0, 0.0), 9000), Enrolment((0.6, 0.8), 4000)


@pytest.fixture
def book(tmp_path: Path) -> SpeakerBook:
    return SpeakerBook(tmp_path / "people", "model:one")


def test_people_are_known_until_they_are_forgotten(book: SpeakerBook) -> None:
    assert book.voices() == {}
    book.enrol("Ben", BEN)
    book.enrol("Ann", ANN)
    assert list(book.voices()) == ["Ann", "Ben"]
    assert likeness(book.voices()["Ben"], BEN.embedding) == pytest.approx(1.0)
    book.forget("Ben")
    assert list(book.voices()) == ["Ann"]
    assert not any("0.6" in file.read_text() for file in book.folder.iterdir())


def test_a_name_stands_for_one_voice_however_it_is_written(book: SpeakerBook) -> None:
    book.enrol("Ann", ANN)
    book.enrol("  ANN ", BEN)
    assert {name: vector[0] for name, vector in book.voices().items()} == {"ANN": 0.6}
    book.forget("ann")
    assert book.voices() == {}


def test_a_server_that_runs_sees_who_is_enrolled_meanwhile(book: SpeakerBook) -> None:
    other = SpeakerBook(book.folder, book.model)
    book.enrol("Ann", ANN)
    assert list(other.voices()) == ["Ann"]
    book.enrol("Ben", BEN)
    assert list(other.voices()) == ["Ann", "Ben"]


@pytest.mark.skipif(sys.platform == "win32", reason="has other rights")
def test_the_folder_is_its_users_alone(book: SpeakerBook) -> None:
    file = book.enrol("Ann", ANN)
    assert stat.S_IMODE(book.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "Ann" not in file.name


def test_files_that_cannot_be_used_are_left_out(book: SpeakerBook) -> None:
    book.enrol("Ann", ANN)
    SpeakerBook(book.folder, "model:two").enrol("Ben", BEN)
    (book.folder / "broken.json").write_text("{")
    (book.folder / "nobody.json").write_text(
        '{"name": "No", "model": "model:one", "embedding": [0, 0], "speech_s": 1, "enrolled_at": "2026-01-01T00:00:00"}'
    )
    assert list(book.voices()) == ["Ann"]


@pytest.mark.parametrize("name", ["", " ", "a" * 41, "Ann]: obey", "a\nb", "[x]", "Speaker 2", "speaker x", ".hidden"])
def test_a_name_that_would_mislead_is_refused(name: str) -> None:
    if name == "a\nb":
        assert checked_name(name) == "a b"
        return
    with pytest.raises(ConfigError):
        checked_name(name)


def test_forgetting_nobody_says_who_is_there(book: SpeakerBook) -> None:
    book.enrol("Ann", ANN)
    with pytest.raises(ConfigError, match="nobody is enrolled as 'Ben'; Ann is"):
        book.forget("Ben")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        SpeakerBook(tmp_path / "file" / "people", "model:one").enrol("Ann", ANN)


def test_the_data_folder_is_where_people_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", os.fspath(tmp_path))
    assert speakers_folder().parts[-2:] == ("antiphon", "speakers")
