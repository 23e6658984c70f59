"""The configurations that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.apps.config_sources import resolve
from antiphon.apps.presets import preset_file, presets_folder
from antiphon.core.settings import Answers
from antiphon.errors import ConfigError


@pytest.mark.parametrize("path", sorted(presets_folder().glob("*.yaml")), ids=lambda path: path.stem)
def test_each_is_a_configuration_of_a_model_that_listens(path: Path) -> None:
    config = resolve({}, {}, path).config
    assert preset_file(path.stem) == path
    assert config.turn_settings().answers is Answers.LISTENING
    listening = config.listening_settings()
    assert (listening.wait_k, listening.speak_tool, listening.thoughts) == (7, True, True)
    assert config.session.instructions.startswith("You are Juno")


def test_a_file_of_ones_own_will_do(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("listening: true\n")
    assert preset_file(str(own)) == own


@pytest.mark.parametrize("wanted", ["nobody", "../README", "missing.yaml"])
def test_what_is_not_there_is_named(wanted: str) -> None:
    with pytest.raises(ConfigError, match="there are juno, juno-companion"):
        preset_file(wanted)
