"""The server and the speaker of tests/e2e, for a browser."""

from __future__ import annotations

from tests.e2e.conftest import ask, server

__all__ = ["ask", "server"]
