"""One conversation: an inbox, one loop, and the work that it sets going."""

from __future__ import annotations

from antiphon.core.commands import Command
from antiphon.core.settings import SessionSettings
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource
from antiphon.session.meter import Meter, NoMeter
from antiphon.transport.base import Outlet


class Session:
    """One conversation with one client.

    ``run()`` is awaited by the transport; it returns when ``close()`` was called, and everything of the session is
    gone by then. ``hear`` and ``post`` are called from the event loop and never block.
    """

    def __init__(
        self,
        suite: Suite,
        outlet: Outlet,
        settings: SessionSettings,
        *,
        ids: IdSource | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.ids = ids or IdSource()
        self._suite = suite
        self._outlet = outlet
        self._settings = settings
        self._meter = meter or NoMeter()

    def hear(self, pcm: bytes) -> None:
        """The user's audio: mono s16 at 16 kHz, any even length."""
        raise NotImplementedError

    def post(self, command: Command) -> None:
        """A client's command; carried out in order."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the session: run() returns soon after."""
        raise NotImplementedError

    async def run(self) -> None:
        """Lives until ``close()``. Cancelling it is the same as closing."""
        raise NotImplementedError
