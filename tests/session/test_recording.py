"""A recorded session replays to the same actions, byte for byte."""

from __future__ import annotations

import base64
import builtins
import types
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NewType, get_args, get_origin

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.actions import Action
from antiphon.core.commands import Command
from antiphon.core.events import Event
from antiphon.core.settings import SessionSettings, TurnSettings
from antiphon.engines.tone_code import decode
from antiphon.errors import ConfigError
from antiphon.session.codec import canonical, from_json, to_json
from antiphon.session.recording import Archive, Bounds, Form, SeveralRecorders
from antiphon.sim.caller import call, scripted_suite
from antiphon.sim.replay import replay
from antiphon.sim.virtual_time import run_virtual

_JSON = st.dictionaries(st.text(), st.none() | st.booleans() | st.text() | st.lists(st.integers(0, 9)), max_size=2)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type: a walk over type hints like the codec's, the other way."""
    if isinstance(hint, NewType):
        return values_of(hint.__supertype__)
    match get_origin(hint):
        case types.UnionType | typing.Union:
            return st.one_of([values_of(member) for member in get_args(hint)])
        case typing.Literal:
            return st.sampled_from(get_args(hint))
        case builtins.tuple | builtins.list as sequence:
            return st.lists(values_of(get_args(hint)[0]), max_size=2).map(sequence)
        case builtins.dict:
            return _JSON
    if isinstance(hint, type) and is_dataclass(hint):
        hints = typing.get_type_hints(hint)
        return st.builds(hint, **{entry.name: values_of(hints[entry.name]) for entry in fields(hint)})
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        type(None): st.none(),
    }
    return simple[hint] if hint in simple else st.from_type(hint)


@given(values_of(Event | Action | Command | SessionSettings))
def test_what_is_written_is_read_again(value: Any) -> None:
    again = from_json(Event | Action | Command | SessionSettings, orjson.loads(canonical(value)))
    assert again == value
    assert canonical(again) == canonical(value)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ConfigError):
        from_json(Event, {"is": "Sneeze"})
    with pytest.raises(ConfigError):
        from_json(Event, {"is": "PartialHeard", "turn": 3, "text": "no"})
    with pytest.raises(ConfigError):
        from_json(SessionSettings, to_json(SessionSettings()) | {"colour": "red"})
    with pytest.raises(ConfigError):
        from_json(Command, None)


def record(folder: Path, form: Form = Form.BESIDE, bounds: Bounds | None = None) -> Path:
    """A conversation with an interruption, a typed turn and a hang-up in mid-reply."""
    archive = Archive(folder, form, bounds)

    async def main() -> None:
        settings = SessionSettings(TurnSettings(paced=True), transcription=True)
        async with call(scripted_suite(), settings, recorder=archive.recorder("call"), seed=7) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await caller.say("no stop")
            await caller.answer()
            await caller.type("count to 3")
            await caller.pause(700)

    run_virtual(main(), start_s=1234.5)
    archive.close()
    return folder / "call.jsonl"


def test_a_recording_replays_to_the_same_bytes(tmp_path: Path) -> None:
    report = replay(record(tmp_path))
    assert report.identical
    assert report.complete
    assert report.broken_rule is None
    assert report.events > 10
    assert report.actions > 10
    assert report.commands == 2
    assert report.audio_s == pytest.approx(report.duration_s, abs=0.1)


def test_recordings_of_the_same_call_are_the_same(tmp_path: Path) -> None:
    one, two = record(tmp_path / "a").read_bytes(), record(tmp_path / "b").read_bytes()
    assert one.splitlines()[1:] == two.splitlines()[1:]


def test_the_audio_lies_beside(tmp_path: Path) -> None:
    record(tmp_path)
    pcm = (tmp_path / "call.pcm").read_bytes()
    assert decode(pcm, EAR_RATE_HZ).startswith("tell me something")


def test_a_recording_is_its_owners_alone(tmp_path: Path) -> None:
    record(tmp_path)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"call.jsonl": 0o600, "call.pcm": 0o600}


def test_a_full_disk_is_told_once(tmp_path: Path) -> None:
    """/dev/full refuses all that is written to it."""
    (tmp_path / "call.pcm").symlink_to("/dev/full")
    with capture_logs() as logs:
        record(tmp_path)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["a recording is broken off"]


def test_the_audio_is_left_out_on_request(tmp_path: Path) -> None:
    report = replay(record(tmp_path, Form.NO_AUDIO))
    assert report.identical
    assert not (tmp_path / "call.pcm").exists()


def test_a_recording_of_one_file_is_the_same_and_has_the_audio(tmp_path: Path) -> None:
    beside, one = record(tmp_path / "a"), record(tmp_path / "b", Form.ONE_FILE)
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["call.jsonl"]
    report = replay(one)
    assert (report.identical, report.complete, report.broken_rule) == (True, True, None)
    entries = [orjson.loads(line) for line in one.read_bytes().splitlines()]
    audio = b"".join(base64.b64decode(entry.pop("pcm")) for entry in entries if "pcm" in entry)
    assert audio == (tmp_path / "a" / "call.pcm").read_bytes()
    assert entries[1:] == [orjson.loads(line) for line in beside.read_bytes().splitlines()[1:]]
    assert report == replay(beside)


def test_audio_that_was_cut_short_is_noticed(tmp_path: Path) -> None:
    path = record(tmp_path, Form.ONE_FILE)
    changed(path, b'"pcm":"AAAA', b'"pcm":"')
    with pytest.raises(ConfigError, match="the audio of the line is not 640 bytes long"):
        replay(path)


def test_a_long_recording_of_one_file_goes_on_without_audio_and_then_ends(tmp_path: Path) -> None:
    whole = record(tmp_path / "whole", Form.ONE_FILE).stat().st_size
    bounds = Bounds(audio_bytes=whole // 3, max_bytes=whole)
    silent = record(tmp_path / "silent", Form.ONE_FILE, bounds)
    lines = silent.read_bytes().splitlines()
    assert sum(b'"pcm"' in line for line in lines) > 10
    assert b'"pcm"' not in lines[-2]
    report = replay(silent)
    assert (report.identical, report.complete) == (True, True)
    broken = record(tmp_path / "broken", Form.ONE_FILE, Bounds(whole, whole // 2))
    assert whole // 3 < broken.stat().st_size <= whole // 2
    report = replay(broken)
    assert (report.identical, report.complete) == (True, False)


def test_several_recorders_write_the_same(tmp_path: Path) -> None:
    archives = [Archive(tmp_path / name) for name in ("a", "b")]

    async def main() -> None:
        recorders = SeveralRecorders([archive.recorder("call") for archive in archives])
        async with call(scripted_suite(), recorder=recorders, seed=7) as caller:
            await caller.type("count to 3")
            await caller.answer()

    run_virtual(main())
    for archive in archives:
        archive.close()
    for name in ("call.jsonl", "call.pcm"):
        first, second = ((tmp_path / each / name).read_bytes().splitlines()[1:] for each in ("a", "b"))
        assert first == second
    assert replay(tmp_path / "b" / "call.jsonl").complete


def changed(path: Path, old: bytes, new: bytes) -> Path:
    text = path.read_bytes()
    assert old in text
    path.write_bytes(text.replace(old, new, 1))
    return path


def test_a_difference_is_shown_with_what_led_to_it(tmp_path: Path) -> None:
    path = changed(record(tmp_path), b'"reason":"turn_detected"', b'"reason":"client_cancelled"')
    report = replay(path)
    assert not report.identical
    assert report.difference is not None
    assert any("client_cancelled" in action for action in report.difference.recorded.actions)
    assert any("turn_detected" in action for action in report.difference.replayed)
    assert len(report.difference.before) == 5
    recorded_line = path.read_bytes().splitlines()[report.difference.recorded.line - 1]
    assert b"client_cancelled" in recorded_line


def test_an_event_that_cannot_be_is_a_difference(tmp_path: Path) -> None:
    lines = record(tmp_path).read_bytes().splitlines(keepends=True)
    closed = next(line for line in lines if b'"is":"Closed"' in line)
    path = tmp_path / "call.jsonl"
    path.write_bytes(b"".join([lines[0], closed, *lines[1:]]))
    report = replay(path)
    assert not report.identical
    assert report.difference is not None


def test_a_recording_that_was_broken_off_replays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = record(tmp_path)
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])
    report = replay(path)
    assert report.identical
    assert not report.complete
    assert report.events > 0


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"{}\n", "no recording of a session: a line is not"),
        (b"hello\n", "no recording of a session"),
        (b'{"is":"header","format":"something else"}\n', "no recording"),
        (b'{"is":"header","format":"antiphon session","version":99}\n', "version 99"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "other.jsonl"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=complaint):
        replay(path)


def test_a_disk_that_fails_breaks_off_the_recording_and_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "call.jsonl").mkdir()
    record_path = record(tmp_path)
    assert record_path.is_dir()
