"""An agent, its tools and its colleague, with clients that send any command at any time: see ``test_any_client``."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from tests.session.agent_call import agent_call
from tests.session.test_any_client import ERRORS, LENGTH_S, AnyClient, Inspector, some_engines, some_settings

from antiphon.agents.agent import Agent, Hooks, ToolCall
from antiphon.agents.base import AgentTool, ToolError
from antiphon.agents.context import Context
from antiphon.agents.tools import tool
from antiphon.engines.scripted import ScriptedBrain, ScriptedSynthesizer
from antiphon.sim.virtual_time import run_virtual


class Staff:
    """Agents whose tools take any time and end in any way."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.running = 0
        self.calls: list[ToolCall] = []
        self.begun = 0
        night = Agent("night", greeting=chance.choice(["", "night desk"]), tools=[self.tool(frail=False)])

        @tool(name="home")
        async def home() -> Agent:
            """Hands over."""
            return night

        hooks = Hooks(on_tool=self.called, on_user=self.fail)
        tools = [self.tool(frail=chance.random() < 0.5), home]
        self.agent = Agent("front", greeting=chance.choice(["", "hello"]), tools=tools, handoffs=[night], hooks=hooks)

    def tool(self, *, frail: bool) -> AgentTool:
        chance = self._chance

        @tool(name="weather", timeout_s=2.0, cancel_on_barge_in=frail)
        async def weather(context: Context) -> str:
            """Takes any time."""
            self.begun += 1
            self.running += 1
            try:
                if chance.random() < 0.3:
                    context.say("still at it")
                await asyncio.sleep(chance.choice([0.0, 0.1, 0.7, 1.5, 5.0]))
                if chance.random() < 0.3:
                    raise chance.choice([ToolError("not today"), RuntimeError("inside")])
                return "fine"
            finally:
                self.running -= 1

        return weather

    async def called(self, context: Context, call: ToolCall) -> None:
        self.calls.append(call)

    async def fail(self, context: Context, text: str) -> None:
        raise RuntimeError("a hook that fails")


async def talk(seed: int, *, paced: bool) -> int:
    chance = random.Random(seed)
    suite = some_engines(chance)
    settings = replace(some_settings(chance, paced=paced), transcription=chance.random() < 0.7, agent="front")
    inspector = Inspector(settings.turn)
    staff = Staff(chance)
    async with agent_call(staff.agent, suite=suite, settings=settings, recorder=inspector, seed=seed) as caller:
        client = AnyClient(caller, chance, paced=paced)
        while caller.now < LENGTH_S:
            await client.act()
            if chance.random() < 0.5:
                await caller.type(chance.choice(["call weather {}", "call weather {}", "call home {}"]))
    outlet = caller.outlet
    assert inspector.rules.closed
    assert not outlet.live
    assert {reply.status for reply in outlet} <= {"completed", "cancelled", "incomplete", "failed"}
    assert {reply.error for reply in outlet} <= ERRORS
    assert isinstance(suite.brain, ScriptedBrain)
    assert isinstance(suite.synthesizer, ScriptedSynthesizer)
    assert (suite.brain.running, suite.synthesizer.running, staff.running) == (0, 0, 0)
    told = [each.args for each in outlet.named("tool") if each.args[2] != "progress"]
    ended = [args[0] for args in told if args[2] != "running"]
    assert len(ended) == len(set(ended)), "a call ends once"
    assert not any("\0" in str(each.args) for each in outlet.named("refused")), "the agent's own refusals are its own"
    assert {asyncio.current_task()} == asyncio.all_tasks()
    return staff.begun


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_whatever_a_client_does_every_call_ends_once(seed: int, paced: bool) -> None:
    run_virtual(talk(seed, paced=paced))


def test_tools_are_called_in_these_conversations() -> None:
    assert run_virtual(talk(1, paced=True)) > 5
