from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from antiphon import __version__
from antiphon.apps.cli import app
from antiphon.apps.config import Config

runner = CliRunner()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def antiphon(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "antiphon", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_version() -> None:
    assert runner.invoke(app, ["--version"]).output == f"antiphon {__version__}\n"


def test_help_names_every_command() -> None:
    output = runner.invoke(app, ["--help"]).output
    for command in ("serve", "talk", "juno", "selftest", "loadtest", "replay"):
        assert command in output


def test_without_a_command_it_serves() -> None:
    by_name = runner.invoke(app, ["serve", "--port", "9000", "--print-config"]).output
    without = runner.invoke(app, ["--port", "9000", "--print-config"]).output
    assert without == by_name
    assert yaml.safe_load(without)["port"] == 9000


def test_a_mistyped_command_is_no_option_of_serve() -> None:
    result = runner.invoke(app, ["srve"])
    assert result.exit_code == 2
    assert "Did you mean 'serve'?" in result.output


def test_every_setting_at_the_top_is_an_option() -> None:
    serve = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    options = {parameter.name for parameter in serve.params}
    assert options - {"config", "print_config", "ready_fd", "help"} == set(Config.model_fields) - {
        "session",
        "context",
        "agents",
    }


def test_repeated_options_and_flags() -> None:
    result = runner.invoke(app, ["--api-key", "a", "--api-key", "b", "--insecure", "--print-config"])
    printed = yaml.safe_load(result.output)
    assert printed["api_key"] == ["***", "***"]
    assert printed["insecure"] is True


def test_an_error_is_one_plain_message() -> None:
    result = antiphon("--host", "0.0.0.0")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith("antiphon: 0.0.0.0 can be reached from other machines: give --api-key KEY")
    assert "Traceback" not in result.stderr


def test_help_imports_nothing_that_it_does_not_need() -> None:
    """So that it answers at once: what a command does is imported when it is asked for."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "antiphon", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    imported = {line.rsplit("|", 1)[-1].strip() for line in result.stderr.splitlines()}
    assert "typer" in imported
    heavy = {"aiohttp", "numpy", "openai", "onnxruntime", "pydantic", "prometheus_client", "soxr", "uvloop", "yaml"}
    assert not heavy & imported


def test_models_are_a_group_of_commands() -> None:
    shown = runner.invoke(app, ["models", "--help"]).output
    for verb in ("list", "pull", "load", "unload", "swap"):
        assert verb in shown
    refused = antiphon("models", "pull", "nobody:knows")
    assert refused.returncode == 2
    assert "there is no model called 'nobody:knows'" in refused.stderr
