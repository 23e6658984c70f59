from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from antiphon.apps.welcome import print_loaded, print_welcome
from antiphon.engines.scripted import ScriptedBrain, ScriptedRecognizer, ScriptedSynthesizer, ScriptedVad
from antiphon.engines.suite import Suite

URL = "http://127.0.0.1:8080"


@pytest.fixture
def suite() -> Suite:
    return Suite(ScriptedVad(), ScriptedRecognizer(), ScriptedBrain(), ScriptedSynthesizer())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_off_a_terminal(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    print_loaded(suite.brain, 1.25)
    print_welcome(URL, suite, needs_key=False)
    lines = capsys.readouterr().out.splitlines()
    assert f"loaded {suite.brain.name} in 1.2 s" in lines
    assert f"  answers: {suite.brain.name} ({suite.brain.description})" in lines
    assert all(line == line.rstrip() and "\x1b" not in line for line in lines)


def test_a_key_is_part_of_every_way_to_try_it(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    print_welcome(URL, suite, needs_key=True)
    out = capsys.readouterr().out
    assert out.count(f"--url {URL} --api-key KEY") == 2
    assert 'api_key="KEY"' in out


def test_the_agents_are_named(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    print_welcome(URL, suite, needs_key=False, agents=["desk", "billing", "night"])
    assert "The agent is desk; others: billing, night.\n" in capsys.readouterr().out
    print_welcome(URL, suite, needs_key=False)
    assert "The agent is" not in capsys.readouterr().out


def test_other_devices_are_told_where_to_go(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    print_welcome(URL, suite, needs_key=False, elsewhere=["https://192.0.2.7:8080", "https://192.0.2.8:8080"])
    out = capsys.readouterr().out
    assert "network: https://192.0.2.7:8080 or https://192.0.2.8:8080\n" in out
    assert "will warn" in out
    print_welcome(URL, suite, needs_key=False, elsewhere=["http://192.0.2.7:8080"])
    assert "--tls self-signed" in capsys.readouterr().out
    print_welcome(URL, suite, needs_key=False)
    assert "another device" not in capsys.readouterr().out


def test_a_code_to_photograph_on_a_terminal(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    print_welcome(URL, suite, needs_key=False, elsewhere=["https://192.0.2.7:8080"])
    assert "\u2580" in terminal.getvalue()


def test_colours_and_its_width_on_a_terminal(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    print_welcome(URL, suite, needs_key=False)
    shown = terminal.getvalue()
    assert "\x1b[" in shown
    assert suite.vad.description not in shown, "it is wrapped"


def test_brackets_in_descriptions_are_text(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    class Odd(ScriptedBrain):
        @property
        def description(self) -> str:
            return "a [bold] brain"

    print_welcome(URL, Suite(suite.vad, suite.recognizer, Odd(), suite.synthesizer), needs_key=False)
    assert "(a [bold] brain)" in capsys.readouterr().out


def test_a_certificate_of_its_own_is_named_for_clients(suite: Suite, capsys: pytest.CaptureFixture[str]) -> None:
    certificate = Path("/home/me/.config/anti phon/self-signed.pem")
    print_welcome("https://127.0.0.1:8080", suite, needs_key=False, certificate=certificate)
    told = capsys.readouterr().out.splitlines()
    for command in ("talk", "selftest"):
        assert any(
            line.startswith(f"  SSL_CERT_FILE='{certificate}' ") and f" {command} --url https:" in line for line in told
        )
