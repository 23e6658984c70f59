"""What a media process is told by its server."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.apps.config import Config
from antiphon.apps.media.assignment import Assignment, assignments
from antiphon.errors import ConfigError

FRONT = Config.model_validate(
    {
        "host": "0.0.0.0",
        "api_key": ["sk-secret"],
        "tls": "self-signed",
        "webrtc_workers": 2,
        "webrtc_ports": "50000-50009",
        "loudness": "off",
        "ice_server": ["turn:ada:s3cret@turn.example"],
        "livekit_url": "wss://rooms.example",
        "livekit_token": "token",
        "workers": ["tts=10.0.0.7:7001"],
        "llm": "auto",
        "model": "small",
        "session": {"instructions": "Be brief.", "barge_in": {"interrupt_words": 2}},
    }
)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    for given in assignments(FRONT, tmp_path, "http://localhost:11434/v1#small"):
        given.write()
        assert given.path.stat().st_mode & 0o077 == 0, "there are passwords in it"
        assert Assignment.read(given.path) == given


def test_each_has_its_ports_and_the_engines_that_were_found(tmp_path: Path) -> None:
    first, second = assignments(FRONT, tmp_path, "http://localhost:11434/v1#small")
    assert [first.name, second.name] == ["webrtc-1", "webrtc-2"]
    assert [given.config.webrtc_ports for given in (first, second)] == ["50000-50004", "50005-50009"]
    config = first.config
    assert (config.llm, config.model) == ("http://localhost:11434/v1#small", None)
    assert (config.session, config.ice_server, config.workers) == (FRONT.session, FRONT.ice_server, FRONT.workers)
    assert (config.webrtc_workers, config.tls, config.api_key, config.livekit_url) == (0, None, (), None)
    assert config.host == "0.0.0.0", "UDP is offered where the server listens"


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "webrtc-1.json"
    with pytest.raises(ConfigError, match="is not what a server tells"):
        Assignment.read(path)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="is not what a server tells"):
        Assignment.read(path)
