from __future__ import annotations

import asyncio

from antiphon.core.commands import ClearBuffer, CommitBuffer
from antiphon.core.events import Timeout
from antiphon.session.inbox import Inbox
from antiphon.sim.virtual_time import run_virtual


def test_entries_are_taken_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        inbox = Inbox(asyncio.get_running_loop())
        entries = (CommitBuffer(), Timeout(1), ClearBuffer())
        for entry in entries:
            inbox.post(entry)
        assert [inbox.take() for _ in range(4)] == [*entries, None]

    run_virtual(main())


def test_an_entry_and_the_close_end_the_waiting_and_the_time_does_too() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox = Inbox(loop)
        began = loop.time()
        assert not await inbox.wait(began + 2.0)
        assert loop.time() == began + 2.0
        for ends in (lambda: inbox.post(Timeout(1)), inbox.close):
            loop.call_later(1.0, ends)
            assert await inbox.wait(loop.time() + 2.0)
            inbox.clear()
        assert loop.time() == began + 4.0
        assert inbox.closed

    run_virtual(main())


def test_without_a_time_it_waits_for_an_entry_alone_and_leaves_no_timer() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        inbox = Inbox(loop)
        loop.call_later(3600.0, inbox.post, Timeout(1))
        assert await inbox.wait(None)
        began = loop.time()
        loop.call_later(1.0, inbox.post, Timeout(2))
        assert await inbox.wait(began + 5.0)
        inbox.clear()
        assert not await inbox.wait(began + 9.0), "the former timer would have woken it as an earlier time"
        assert loop.time() == began + 9.0

    run_virtual(main())
