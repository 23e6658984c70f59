"""Agents whose model listens: with instructions, tools and a greeting, on virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from tests.session.agent_call import agent_call

from antiphon.agents.agent import Agent
from antiphon.agents.tools import tool
from antiphon.core.settings import ListeningSettings, SessionSettings, TurnSettings
from antiphon.core.speech import Message
from antiphon.sim.caller import scripted_suite
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual

LISTENING = ListeningSettings(wait_k=2, speak_tool=True)
SETTINGS = SessionSettings(TurnSettings(paced=True, silence_duration_ms=500), transcription=True, agent="guide")


@tool
async def search() -> str:
    """Searches."""
    await asyncio.sleep(1.0)
    return "the blue door"


def rule(messages: Sequence[Message]) -> str:
    last = messages[-1]
    if last.role == "tool":
        return f"<speak>It is {last.text}.</speak>"
    if last.role == "user" and last.text.endswith("where it is"):
        return '<tool_call>{"name": "search", "arguments": {}}</tool_call>'
    return "<speak>It is noon.</speak>" if last.role == "user" and last.text.endswith("time is it") else ""


def test_an_agent_that_listens_greets_speaks_when_it_wants_to_and_uses_its_tools() -> None:
    async def main() -> None:
        suite = replace(scripted_suite(), brain=RuleBrain(rule))
        agent = Agent("guide", "Be brief.", greeting="hello", tools=[search], fillers=(), listening=LISTENING)
        async with agent_call(agent, suite=suite, settings=SETTINGS) as caller:
            assert (await caller.answer()).transcript.strip() == "hello"
            await caller.say("so tell me what time is it")
            assert (await caller.answer()).transcript.strip() == "It is noon."
            await caller.rest()
            await caller.say("and tell me where it is")
            await caller.until(lambda: len(caller.outlet.named("tool")) == 2)
            await caller.until(lambda: "blue" in caller.outlet.latest.transcript)
            await caller.rest()

    run_virtual(main())
