"""Voice packs as they are read from a folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from antiphon.engines.pack_folder import PackError, packs_folder, read_pack, read_packs
from antiphon.engines.voice_pack import check_pack
from antiphon.errors import EngineError

FULL = """\
id: anna
family: xtts
name: Anna, at the desk
languages: [en-US, de-DE]
licence: CC-BY-4.0
speed: 1.1
pitch: 1.0
loudness_lufs: -21.5
reference_audio: anna.wav
reference_text: |
  Good morning, how may I help you?
lora: adapter
model: voices/model.bin
config: model.json
options:
  temperature: 0.7
  speaker: 3
  split: true
  style: calm
"""


def make_pack(root: Path, full_name: str, metadata: str, *files: str) -> Path:
    folder = root.joinpath(*full_name.split(":"))
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.yaml").write_text(metadata)
    return folder


def test_everything_that_a_pack_can_say(tmp_path: Path) -> None:
    files = ("anna.wav", "adapter/adapter_config.json", "voices/model.bin", "model.json")
    pack = read_pack(make_pack(tmp_path, "xtts:anna", FULL, *files))
    folder = tmp_path / "xtts" / "anna"
    assert (pack.full_name, pack.name, pack.languages) == ("xtts:anna", "Anna, at the desk", ("en-US", "de-DE"))
    assert (pack.speed, pack.pitch, pack.loudness_lufs, pack.licence) == (1.1, 1.0, -21.5, "CC-BY-4.0")
    assert (pack.reference_audio, pack.reference_text) == (folder / "anna.wav", "Good morning, how may I help you?")
    assert (pack.lora, pack.model, pack.config) == (
        folder / "adapter",
        folder / "voices" / "model.bin",
        folder / "model.json",
    )
    assert dict(pack.options) == {"temperature": 0.7, "speaker": 3, "split": True, "style": "calm"}


def test_little_is_enough(tmp_path: Path) -> None:
    pack = read_pack(make_pack(tmp_path, "espeak:robot", "languages: en-GB\ngain_db: 4.5\n"))
    assert (pack.name, pack.languages, pack.speed, pack.loudness_lufs) == ("robot", ("en-GB",), 1.0, -20.5)


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ("speed: 1.0\n", r"metadata\.yaml: languages: Field required"),
        ("languages: [en]\nspeed: 9\n", r"metadata\.yaml, line 2: speed: .*less than or equal to 4"),
        ("languages: [en]\n\nsped: 1.0\n", r"metadata\.yaml, line 3: sped: there is no such key"),
        ("languages:\n- english speech\n", r"line 1: languages: 'english speech' is no BCP 47"),
        ("languages: []\n", "line 1: languages: .*at least 1 item"),
        ("languages: [en]\nmodel: gone.onnx\n", r"line 2: model: there is no file 'gone\.onnx' in the pack"),
        ("languages: [en]\nlora: gone\n", "line 2: lora: there is no folder 'gone'"),
        ("languages: [en]\nmodel: ../x.onnx\n", "line 2: model: .*not within the pack"),
        ("languages: [en]\nmodel: /etc/passwd\n", "line 2: model: .*not within the pack"),
        ("languages: [en]\nid: other\n", "line 2: id: 'other', but the folder is called 'one'"),
        ("languages: [en]\nfamily: xtts\n", "line 2: family: 'xtts', but the folder is called 'piper'"),
        ("languages: [en]\ngain_db: 1.0\nloudness_lufs: -20.0\n", "exclude each other"),
        ("languages: [en]\noptions:\n  speaker: [1, 2]\n", r"line 3: options\.speaker: "),
        ("languages: [en\n", "line 2: no valid YAML"),
        ("- languages\n", "must hold keys and values"),
        ("languages: [en]\n" + "#" * 70_000, "larger than 64 KiB"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, metadata: str, reason: str) -> None:
    folder = make_pack(tmp_path, "piper:one", metadata)
    with pytest.raises(PackError, match=reason) as told:
        read_pack(folder)
    assert told.value.pack == "piper:one"
    assert str(folder) in str(told.value)


def test_each_key_that_is_wrong_is_told(tmp_path: Path) -> None:
    folder = make_pack(tmp_path, "piper:one", "languages: [en]\nspeed: fast\nmodel: [x]\n")
    with pytest.raises(PackError) as told:
        read_pack(folder)
    assert [line.partition(", ")[2].partition(": ")[0] for line in str(told.value).splitlines()] == ["line 2", "line 3"]


def test_a_broken_pack_keeps_no_other_out(tmp_path: Path) -> None:
    make_pack(tmp_path, "piper:one", "languages: [en]\nmodel: gone\n")
    make_pack(tmp_path, "piper:two", "languages: [en]\n")
    make_pack(tmp_path, "pico:Three", "languages: [en]\n")
    make_pack(tmp_path, "pico:.hidden", "nonsense")
    (tmp_path / "espeak" / "empty").mkdir(parents=True)
    (tmp_path / "README.txt").touch()
    found = read_packs(tmp_path)
    assert [pack.full_name for pack in found.packs] == ["piper:two"]
    assert {problem.pack for problem in found.problems} == {"piper:one", "pico:Three", "espeak:empty"}
    assert "has no metadata.yaml" in str(found.of("espeak").problems[0])
    assert "'Three' is no name" in str(found.of("pico").problems[0])
    assert (found.families, found.of("piper").packs) == (("piper",), found.packs)


def test_an_engine_says_what_it_has_no_use_for(tmp_path: Path) -> None:
    pack = read_pack(make_pack(tmp_path, "one:a", "languages: en\nspeed: 1.2\npitch: 0.9\noptions: {depth: 3}\n"))
    check_pack(pack, "One", takes=("speed", "pitch"), options={"depth": (int,)})
    for reason, takes, options in (
        ("speed: One has no use for it", ("pitch",), {"depth": (int,)}),
        ("pitch: One has no use for it", ("speed",), {"depth": (int,)}),
        (r"options\.depth: One has no such option; there are width", ("speed", "pitch"), {"width": (int,)}),
        (r"options\.depth: 3 is no str", ("speed", "pitch"), {"depth": (str,)}),
    ):
        with pytest.raises(EngineError, match=reason):
            check_pack(pack, "One", takes=takes, options=options)


def test_a_folder_need_not_exist(tmp_path: Path) -> None:
    assert read_packs(tmp_path / "none").packs == ()


def test_its_version_changes_with_its_files(tmp_path: Path) -> None:
    folder = make_pack(tmp_path, "piper:one", "languages: [en]\nmodel: a.onnx\n", "a.onnx")
    first = read_pack(folder)
    assert read_pack(folder) == first
    about = (folder / "a.onnx").stat()
    os.utime(folder / "a.onnx", ns=(about.st_atime_ns, about.st_mtime_ns + 1))
    touched = read_pack(folder)
    (folder / "metadata.yaml").write_text("languages: [en]\nmodel: a.onnx\nspeed: 1.5\n")
    assert len({first.version, touched.version, read_pack(folder).version}) == 3


def test_the_folder_is_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert packs_folder() == tmp_path / "antiphon" / "voicepacks"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert packs_folder() == Path.home() / "Library" / "Application Support" / "antiphon" / "voicepacks"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert packs_folder() == tmp_path / "antiphon" / "voicepacks"
