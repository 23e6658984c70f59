from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.engines.model_options import ModelOptions
from antiphon.engines.sampling import Sampling
from antiphon.errors import ConfigError


def test_nothing_said() -> None:
    assert ModelOptions.parse("") == ModelOptions()
    assert ModelOptions().sampling() == Sampling()


def test_what_is_said_counts() -> None:
    options = ModelOptions.parse("temperature=0&top_p=0.5&top_k=0&context=2048&memory=100&slots=3&thinking=true")
    assert options == ModelOptions(0.0, 0.5, 0, 2048, 100, 3, True)
    assert options.sampling() == Sampling(0.0, 0.5, 0)


@pytest.mark.parametrize(
    "wrong",
    ["heat=1", "temperature=hot", "temperature=-1", "top_p=2", "context=10", "thinking=maybe", "qwen3", "memory="],
)
def test_what_is_wrong_is_told(wrong: str) -> None:
    with pytest.raises(ConfigError, match="option"):
        ModelOptions.parse(wrong)


def test_the_model_says_how_it_is_sampled_from(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"temperature": 0.6, "top_p": 0.95, "top_k": "many"}')
    assert ModelOptions().sampling(tmp_path) == Sampling(0.6, 0.95)
    assert ModelOptions(temperature=0.0).sampling(tmp_path) == Sampling(0.0, 0.95)


@pytest.mark.parametrize("text", ["[]", "no json", None])
def test_a_broken_file_says_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "generation_config.json").write_text(text)
    assert ModelOptions().sampling(tmp_path) == Sampling()
