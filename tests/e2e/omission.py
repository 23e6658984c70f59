"""Whether the checks of a scenario can fail: each kind of server event is kept from its client once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from tests.e2e.wiretap import Wiretap

PATIENCE_S = 5.0
"""For each thing that a client waits for. Many run at once, so that only the longest of them costs time."""

Scenario = Callable[[Wiretap, float], Awaitable[object]]
"""Plays through the tap, and raises AssertionError or TimeoutError when what it waits for does not come in time."""


async def check_each_is_missed(
    server: str,
    cases: Sequence[tuple[Scenario, str]],
    *,
    never_sent: Sequence[str] = (),
    patience_s: float = PATIENCE_S,
    at_once: int = 12,
) -> None:
    """Plays each scenario without the server events of one type, and asserts that it fails for want of them.

    Of the types in ``never_sent`` the server need not have sent any: without them the scenario does not begin.
    """

    places = asyncio.Semaphore(at_once)

    async def outcome(scenario: Scenario, dropped: str) -> str:
        async with places, Wiretap(server, drop={dropped}) as tap:
            try:
                await scenario(tap, patience_s)
            except (AssertionError, TimeoutError):
                if dropped in never_sent or tap.seen(dropped):
                    return "missed"
                return "the server never sent it, so its absence proves nothing"
            return "not missed"

    async with asyncio.TaskGroup() as group:
        playing = [(case, group.create_task(outcome(*case))) for case in cases]
    wrong = [(case, play.result()) for case, play in playing if play.result() != "missed"]
    assert not wrong, wrong
