from __future__ import annotations

import sys
import webbrowser

import pytest

from antiphon.apps.browser import has_screen, open_page


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


@pytest.mark.usefixtures("terminal")
def test_a_screen_is_one_that_somebody_sits_before() -> None:
    assert has_screen({"DISPLAY": ":0"})
    assert has_screen({"WAYLAND_DISPLAY": "wayland-0"})
    assert not has_screen({})
    assert not has_screen({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 22"})


@pytest.mark.usefixtures("terminal")
def test_other_systems_always_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert has_screen({})


def test_a_service_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
    assert not has_screen({"DISPLAY": ":0"})


def test_a_browser_that_is_not_there_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(url: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "open", broken)
    assert not open_page("http://127.0.0.1:8080")
    monkeypatch.setattr(webbrowser, "open", lambda url: url.endswith(":8080"))
    assert open_page("http://127.0.0.1:8080")
