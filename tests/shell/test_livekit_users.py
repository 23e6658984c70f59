"""Whom the agent hears in a room."""

from __future__ import annotations

import pytest
from livekit import rtc
from tests.shell.livekit_room import Venue

from antiphon.transport.livekit.users import choose


@pytest.fixture
async def venue() -> Venue:
    """Cat has no microphone, and the bot is no person; Bob came before Ann."""
    room = Venue()
    room.enter("cat")
    room.enter("bot", rtc.ParticipantKind.PARTICIPANT_KIND_AGENT).publish()
    room.enter("bob", rtc.ParticipantKind.PARTICIPANT_KIND_SIP).publish()
    room.enter("ann").publish()
    return room


@pytest.mark.parametrize(
    ("wanted", "current", "chosen"),
    [
        (None, None, "bob"),
        (None, "ann", "ann"),
        (None, "cat", "cat"),
        (None, "gone", "bob"),
        ("cat", None, "cat"),
        ("ann", "bob", "ann"),
        ("bot", None, "bot"),
        ("gone", "bob", None),
    ],
)
async def test_choose(venue: Venue, wanted: str | None, current: str | None, chosen: str | None) -> None:
    found = choose(venue, venue.guests, wanted, current)
    assert (found.identity if found is not None else None) == chosen


async def test_nobody_is_there(venue: Venue) -> None:
    del venue.guests["bob"], venue.guests["ann"]
    assert choose(venue, venue.guests, None, None) is None
