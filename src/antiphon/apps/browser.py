"""Opens the page for the person who started the server."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping

import structlog

_log = structlog.get_logger(__name__)


def has_screen(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the server was started from a terminal by somebody who sits before the screen of this machine."""
    if not sys.stdout.isatty() or "SSH_CONNECTION" in environment:
        return False
    # Elsewhere a browser that writes into the terminal could be found.
    return sys.platform != "linux" or bool(environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY"))


def open_page(url: str) -> bool:
    """Opens ``url``; returns whether a browser was found. May take as long as that takes to start."""
    try:
        return webbrowser.open(url)
    except webbrowser.Error as error:
        _log.info("no browser could be opened", reason=str(error))
        return False
