"""What a client of the Realtime protocol is told of an agent's work, judged by the protocol's referee."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from antiphon.agents.agent import Agent
from antiphon.agents.roster import Roster
from antiphon.agents.runtime import AgentSession
from antiphon.agents.tools import tool
from antiphon.core.settings import SessionSettings
from antiphon.session.session import Session
from antiphon.sim.caller import scripted_suite
from antiphon.sim.referee import Referee
from antiphon.sim.virtual_time import run_virtual
from antiphon.transport.base import Outlet
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.outlet import RealtimeOutlet

Json = dict[str, Any]


@tool
async def search(seconds: float = 0.0) -> str:
    """Searches."""
    await asyncio.sleep(seconds)
    return "found"


BILLING = Agent("billing", "You know bills.", voice="beta")
FRONT = Agent("front", "A secret.", greeting="welcome", tools=[search], handoffs=[BILLING], fillers=["wait"])


class Client:
    def __init__(self, *, paced: bool, vendor: bool) -> None:
        offer = Offer(voices=("alpha", "beta"), agents={"front": None, "billing": "beta"})
        config = SessionConfig(offer, session_id="sess_1", expires_at=0, paced=paced)
        self.referee = Referee(vendor=vendor)
        self.events: list[Json] = []
        self._news = asyncio.Event()
        self.outlet = RealtimeOutlet(config, self, conversation_id="conv_1", vendor=vendor)

        def open_session(outlet: Outlet, settings: SessionSettings) -> Session:
            return Session(scripted_suite(), outlet, settings)

        self.session = AgentSession(Roster([FRONT]), self.outlet, config.settings(), open_session)
        self._inlet = RealtimeInlet(self.session, self.outlet, config)

    def send(self, data: bytes, *, media: bool = False) -> None:
        event = orjson.loads(data)
        self.referee.feed(event)
        self.events.append(event)
        self._news.set()

    def drop_media(self) -> None:
        pass

    async def post(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, **fields}
        self.referee.client(event)
        await self._inlet.receive(orjson.dumps(event))

    async def type(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.post("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.post("response.create")

    async def replies(self, count: int) -> list[Json]:
        """Waits for so many replies to be done."""
        while len(done := [each["response"] for each in self.of("response.done")]) < count:
            self._news.clear()
            await self._news.wait()
        return done

    def of(self, kind: str) -> list[Json]:
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def connected(*, paced: bool = True, vendor: bool = False) -> AsyncIterator[Client]:
    client = Client(paced=paced, vendor=vendor)
    client.outlet.session_created()
    async with asyncio.TaskGroup() as group:
        group.create_task(client.session.run())
        try:
            yield client
        finally:
            client.session.close()
    client.referee.finish()


def said(response: Json) -> list[str]:
    return [part["transcript"].strip() for item in response["output"] for part in item.get("content", ())]


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("vendor", [True, False])
def test_a_greeting_a_call_a_filler_and_an_answer(paced: bool, vendor: bool) -> None:
    async def main() -> None:
        async with connected(paced=paced, vendor=vendor) as client:
            await client.post("session.update", session={"type": "realtime", "instructions": "Be brief."})
            assert said((await client.replies(1))[0]) == ["welcome"]
            await client.type('call search {"seconds": 3}')
            greeting, call, filler, answer = await client.replies(4)
            assert [each["type"] for each in call["output"]] == ["function_call"]
            assert said(filler) == ["wait"]
            assert said(answer) == ["search says found"]
            assert {each["status"] for each in (greeting, call, filler, answer)} == {"completed"}
            added = [each["item"] for each in client.of("conversation.item.added")]
            assert [each["type"] for each in added] == [
                "message",
                "message",
                "function_call",
                "message",
                "function_call_output",
                "message",
            ]
            assert added[4]["call_id"] == added[2]["call_id"]
            assert added[4]["output"] == "found"
            assert not client.of("error")
            told = [(each["status"], each["name"]) for each in client.of("antiphon.tool")]
            assert told == ([("running", "search"), ("completed", "search")] if vendor else [])
            assert client.of("session.updated")[0]["session"]["instructions"] == "Be brief."
            assert "secret" not in str(client.events)
            asked = [each["response_id"] for each in client.of("antiphon.brain")]
            assert asked == ([call["id"], answer["id"]] if vendor else []), "given words are no model's"

    run_virtual(main())


def test_a_hand_over_tells_the_voice_and_the_agent() -> None:
    async def main() -> None:
        async with connected(vendor=True) as client:
            await client.type("call transfer_to_billing")
            _, answer = await client.replies(2)
            assert answer["audio"]["output"]["voice"] == "beta"
            assert client.of("session.updated")[-1]["session"]["audio"]["output"]["voice"] == "beta"
            assert [(each["agent"], each["voice"]) for each in client.of("antiphon.agent")] == [
                ("front", "alpha"),
                ("billing", "beta"),
            ]
            await client.post("session.update", session={"type": "realtime", "instructions": "Be brief."})
            assert client.session.agent is BILLING, "an update of something else changes nothing of that"

    run_virtual(main())


def test_the_client_chooses_the_agent_in_the_session_and_is_told_of_a_name_that_nobody_has() -> None:
    async def main() -> None:
        async with connected(vendor=True) as client:
            await client.post("session.update", session={"type": "realtime", "antiphon": {"agent": "billing"}})
            assert client.session.agent is BILLING
            assert client.of("session.updated")[0]["session"]["audio"]["output"]["voice"] == "beta"
            await client.post("session.update", session={"type": "realtime", "antiphon": {"agent": "sales"}})
            assert client.of("error")[0]["error"]["message"].endswith("expected one of front, billing")
            assert client.session.agent is BILLING

    run_virtual(main())
