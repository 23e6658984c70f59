"""What runs for a conversation, and the models that are kept for it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from antiphon.sim.virtual_time import run_virtual
from antiphon.worker.manager import Lease
from antiphon.worker.sessions import Sessions


class Held:
    """A lease that only says whether it ended."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.ended = 0

    def end(self) -> None:
        self.ended += 1


class Work:
    def __init__(self, session: str) -> None:
        self.session = session
        self.told: list[str] = []

    def pause(self) -> int:
        self.told.append("pause")
        return 1

    def resume(self) -> int:
        self.told.append("resume")
        return 2

    def stop(self) -> int:
        self.told.append("stop")
        return 3


def kept(sessions: Sessions, session: str, model: str) -> Held:
    lease = Held(model)
    sessions.keep(session, cast("Lease[Any]", lease))
    return lease


def test_verbs_reach_the_requests_of_one_session() -> None:
    async def scene() -> None:
        sessions = Sessions()
        one, other = Work("one"), Work("other")
        with sessions.run(one), sessions.run(other):
            assert sessions.running == 2
            assert (sessions.pause("one"), sessions.resume("one"), sessions.stop("one")) == (1, 2, 3)
            assert sessions.pause("nobody") == 0
        assert sessions.running == 0
        assert (one.told, other.told) == (["pause", "resume", "stop"], [])

    run_virtual(scene())


def test_only_who_made_itself_known_is_known_and_its_end_is_told() -> None:
    async def scene() -> None:
        ended: list[str] = []
        sessions = Sessions(10.0, ended.append)
        kept(sessions, "a", "m")
        kept(sessions, "b", "m")
        assert (sessions.known("a"), sessions.known("nobody"), sessions.known("")) == ("a", "", "")
        sessions.end("nobody")
        sessions.end("a")
        assert (ended, sessions.known("a")) == (["a"], "")
        await asyncio.sleep(11)
        assert ended == ["a", "b"], "of which nothing was heard"

    run_virtual(scene())


def test_the_end_of_a_session_stops_its_work_and_lets_its_model_go() -> None:
    async def scene() -> None:
        sessions = Sessions()
        first, second, again = (kept(sessions, "s", model) for model in ("a", "b", "a"))
        assert (first.ended, second.ended, again.ended) == (1, 1, 0)
        assert len(sessions) == 1
        work = Work("s")
        with sessions.run(work):
            sessions.end("s")
            sessions.end("s")
        assert "stop" in work.told
        assert len(sessions) == 0
        assert (first.ended, second.ended, again.ended) == (1, 1, 1)

    run_virtual(scene())


def test_a_session_of_which_nothing_is_heard_lapses_but_not_while_it_works() -> None:
    async def scene() -> None:
        sessions = Sessions(lapse_s=60)
        lease = kept(sessions, "s", "a")
        await asyncio.sleep(50)
        sessions.touch("s")
        await asyncio.sleep(50)
        with sessions.run(Work("s")):
            await asyncio.sleep(500)
            assert lease.ended == 0
        await asyncio.sleep(59)
        assert lease.ended == 0
        await asyncio.sleep(2)
        assert lease.ended == 1

    run_virtual(scene())
