"""Agents in whole conversations, on virtual time: a real session, scripted engines, a scripted caller."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from tests.session.agent_call import AgentCaller, agent_call

from antiphon.agents.agent import Agent, Hooks, ToolCall
from antiphon.agents.base import ToolError
from antiphon.agents.context import Context
from antiphon.agents.tools import tool
from antiphon.core.actions import State
from antiphon.core.commands import Configure, CreateItem, CreateReply
from antiphon.core.conversation import Item
from antiphon.core.settings import ReplySettings, SessionSettings, Tool, TurnSettings
from antiphon.core.speech import Finish, TextDelta, ToolCallDelta
from antiphon.engines.scripted import ScriptedBrain, count_to
from antiphon.ids import ItemId, ReplyId
from antiphon.sim.caller import scripted_suite
from antiphon.sim.virtual_time import run_virtual

FILLER = "one moment"


@tool
def weather(at: str) -> dict[str, Any]:
    """Tells the weather."""
    return {"sky": "clear", "at": at}


def slow(after_s: float, **options: Any) -> Any:
    """A tool that takes its time."""

    @tool(**options)
    async def search() -> str:
        """Searches."""
        await asyncio.sleep(after_s)
        return "found"

    return search


def requests(suite: Any) -> list[Any]:
    brain = suite.brain
    assert isinstance(brain, ScriptedBrain)
    return list(brain.requests)


@pytest.mark.parametrize("paced", [True, False])
def test_a_tool_is_called_and_its_result_is_answered(paced: bool) -> None:
    async def main() -> None:
        suite = scripted_suite()
        agent = Agent("guide", "Be brief.", tools=[weather])
        async with agent_call(agent, suite=suite, paced=paced) as caller:
            await caller.type('call weather {"at": "home"}')
            called, told = await caller.answer(), await caller.answer()
            await caller.rest()
            assert list(called.calls.values()) == [("weather", '{"at": "home"}')]
            assert told.transcript.strip() == 'weather says {"sky":"clear","at":"home"}'
            assert [each.args[2:] for each in caller.outlet.named("tool")] == [("running", ""), ("completed", "")]
        first, second = requests(suite)
        assert first.messages[0].text == "Be brief."
        assert [each.name for each in first.tools] == ["weather"]
        assert second.messages[-1].role == "tool"

    run_virtual(main())


def test_the_spoken_question_of_a_user_calls_a_tool_once_and_only_when_the_turn_is_over() -> None:
    calls: list[float] = []

    @tool
    async def note() -> str:
        """Notes."""
        calls.append(asyncio.get_running_loop().time())
        return "noted"

    async def main() -> None:
        settings = SessionSettings(
            TurnSettings(paced=True, silence_duration_ms=800, prepare_after_ms=100), agent="guide"
        )
        async with agent_call(Agent("guide", tools=[note]), settings=settings) as caller:
            await caller.say("call")
            await caller.say("note", after_ms=500)  # the pause was not the end: what was prepared is void
            ended_at = caller.now
            await caller.said(2)
            assert len(calls) == 1
            assert calls[0] >= ended_at + 0.8

    run_virtual(main())


def test_a_fast_tool_needs_no_filler_and_a_slow_one_gets_one() -> None:
    async def main() -> None:
        for after_s, fillers in ((0.3, []), (2.5, [FILLER])):
            async with agent_call(Agent("guide", tools=[slow(after_s)], fillers=[FILLER])) as caller:
                await caller.type("call search")
                said = await caller.said(2 + len(fillers))
                assert said == ["", *fillers, "search says found"]

    run_virtual(main())


def test_the_answer_waits_for_the_end_of_the_filler_and_then_comes_at_once() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide", tools=[slow(0.7)], fillers=["let me have a look at that"])) as caller:
            await caller.type("call search")
            _, filler, answer = [await caller.answer() for _ in range(3)]
            assert (filler.status, filler.transcript) == ("completed", "let me have a look at that")
            assert filler.done_at is not None and filler.done_at <= answer.created_at < filler.done_at + 0.05

    run_virtual(main())


def test_a_filler_is_left_at_the_end_of_its_clause_when_the_answer_is_there() -> None:
    async def main() -> None:
        filler = "let me look, this takes a moment, so please have some patience with me"
        async with agent_call(Agent("guide", tools=[slow(1.5)], fillers=[filler])) as caller:
            await caller.type("call search")
            _, left, answer = [await caller.answer() for _ in range(3)]
            assert (left.status, left.reason) == ("cancelled", "client_cancelled")
            assert left.transcript.strip() in ("let me look,", "let me look, this takes a moment,")
            assert answer.transcript.strip() == "search says found"
            assert left.done_at is not None and answer.created_at < left.done_at + 0.05
            assert ("assistant", left.transcript.strip()) in caller.context()
            assert not caller.outlet.named("refused")

    run_virtual(main())


def test_a_filler_that_was_sent_in_one_go_is_left_to_the_client_to_play() -> None:
    async def main() -> None:
        filler = "let me look, this takes a moment, so please have some patience with me"
        async with agent_call(Agent("guide", tools=[slow(1.5)], fillers=[filler]), paced=False) as caller:
            await caller.type("call search")
            _, whole, answer = [await caller.answer() for _ in range(3)]
            assert (whole.status, whole.transcript.strip()) == ("completed", filler)
            assert answer.transcript.strip() == "search says found"

    run_virtual(main())


def test_fillers_of_the_tool_go_before_those_of_the_agent_and_follow_on_each_other() -> None:
    async def main() -> None:
        patient = slow(12.0, filler=("looking", "still looking"))
        async with agent_call(Agent("guide", tools=[patient], fillers=[FILLER])) as caller:
            await caller.type("call search")
            assert await caller.said(4) == ["", "looking", "still looking", "search says found"]
        silent = slow(3.0, filler="")
        async with agent_call(Agent("guide", tools=[silent], fillers=[FILLER])) as caller:
            await caller.type("call search")
            assert await caller.said(2) == ["", "search says found"]

    run_virtual(main())


@pytest.mark.parametrize("paced", [True, False])
def test_barging_in_lets_a_tool_run_to_its_end_and_its_result_be_known(paced: bool) -> None:
    async def main() -> None:
        suite = scripted_suite()
        agent = Agent("guide", tools=[slow(6.0)], fillers=["let me have a look at that for you right now"])
        async with agent_call(agent, suite=suite, paced=paced) as caller:
            await caller.type("call search")
            await caller.answer()
            await caller.hears("look")
            await caller.say("echo wait a moment")
            filler, reply = await caller.answer(), await caller.answer()
            assert (filler.status, filler.reason) == ("cancelled", "turn_detected")
            assert reply.transcript.strip() == "wait a moment"
            assert caller.outputs() == []
            answer = await caller.answer()
            assert answer.transcript.strip() == "search says found"
            assert caller.outputs() == ["found"]

    run_virtual(main())


def test_a_tool_that_is_declared_so_ends_with_the_users_next_words() -> None:
    ended: list[str] = []

    @tool(cancel_on_barge_in=True)
    async def search() -> str:
        """Searches."""
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return "found"

    async def main() -> None:
        async with agent_call(Agent("guide", tools=[search], fillers=[])) as caller:
            await caller.type("call search")
            await caller.answer()
            await caller.say("echo never mind")
            answer = await caller.answer()
            await caller.rest()
            assert answer.transcript.strip() == "never mind"
            assert ended == ["cancelled"]
            assert caller.outputs() == ['{"cancelled":"The user spoke before it was done."}']
            assert [each.args[2] for each in caller.outlet.named("tool")] == ["running", "cancelled"]
            assert len(caller.outlet.replies) == 2  # nothing more is said of it

    run_virtual(main())


def test_a_result_that_comes_while_the_user_speaks_waits_for_the_turn() -> None:
    async def main() -> None:
        suite = scripted_suite()
        async with agent_call(Agent("guide", tools=[slow(1.0)], fillers=[]), suite=suite) as caller:
            await caller.type("call search")
            await caller.answer()
            await caller.say("a long story that takes longer than the search", after_ms=300)
            reply = await caller.answer()
            await caller.rest()
            assert reply.created_at > caller.outlet.named("tool")[-1].at
            assert requests(suite)[1].messages[-1].role == "user"
            assert "found" in [message.text for message in requests(suite)[1].messages]
            assert len(caller.outlet.replies) == 2  # that answer had both

    run_virtual(main())


def failing(error: Exception | None) -> Any:
    @tool(timeout_s=2.0, filler="")
    async def search() -> str:
        """Searches."""
        if error is not None:
            raise error
        await asyncio.Event().wait()
        return "never"

    return search


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ToolError("The shop is closed"), "The shop is closed"),
        (RuntimeError("a secret of the inside"), "There was an error."),
        (None, "It took longer than 2 seconds."),
    ],
)
def test_a_tool_that_fails_or_hangs_is_told_to_the_model_which_answers(error: Exception | None, told: str) -> None:
    async def main() -> None:
        async with agent_call(Agent("guide", tools=[failing(error)])) as caller:
            await caller.type("call search")
            _, answer = await caller.answer(), await caller.answer()
            assert told in answer.transcript
            assert "sorry" in answer.transcript
            assert "secret" not in answer.transcript
            assert caller.outlet.named("tool")[-1].args[2:] == ("failed", told)

    run_virtual(main())


def test_arguments_that_do_not_fit_are_told_to_the_model() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide", tools=[weather])) as caller:
            await caller.type("call weather {}")
            _, answer = await caller.answer(), await caller.answer()
            assert "at: Field required" in answer.transcript

    run_virtual(main())


@pytest.mark.parametrize("paced", [True, False])
def test_when_the_brain_fails_the_agent_apologizes(paced: bool) -> None:
    async def main() -> None:
        suite = scripted_suite(llm="fail_on=1,fail_after=2")
        async with agent_call(Agent("guide", apology="sorry about that"), suite=suite, paced=paced) as caller:
            await caller.say("tell me something")
            failed, apology = await caller.answer(), await caller.answer()
            await caller.rest()
            assert failed.status == "failed"
            assert (apology.status, apology.transcript.strip()) == ("completed", "sorry about that")
            assert len(caller.outlet.replies) == 2

    run_virtual(main())


def test_when_the_voice_fails_too_there_is_an_end() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide"), suite=scripted_suite(tts="fail_rate=1.0")) as caller:
            await caller.say("tell me something")
            assert [(await caller.answer()).status for _ in range(2)] == ["failed", "failed"]
            await caller.rest()
            await caller.pause(3000)
            assert len(caller.outlet.replies) == 2

    run_virtual(main())


def test_a_greeting_comes_first_when_the_client_is_ready() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide", greeting="welcome to the house")) as caller:
            assert not caller.outlet.replies
            caller.session.post(Configure(SessionSettings(TurnSettings(paced=True), agent="guide")))
            greeting = await caller.answer()
            assert greeting.transcript.strip() == "welcome to the house"
            assert caller.context() == [("assistant", "welcome to the house")]
            caller.session.post(Configure(SessionSettings(TurnSettings(paced=True), agent="guide")))
            await caller.pause(3000)
            assert len(caller.outlet.replies) == 1

    run_virtual(main())


def test_a_client_that_sends_no_settings_is_greeted_once_it_is_heard_and_one_that_speaks_first_is_not() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide", greeting="welcome")) as caller:
            greeting = await caller.answer()
            assert 0.9 < greeting.created_at < 1.2
        async with agent_call(Agent("guide", greeting="welcome")) as caller:
            await caller.type("echo hello")
            await caller.answer()
            await caller.pause(3000)
            assert len(caller.outlet.replies) == 1

    run_virtual(main())


def test_a_conversation_that_goes_on_needs_no_greeting() -> None:
    async def main() -> None:
        history = [Item(ItemId("item_1"), "message", "user", text="hello")]
        async with agent_call(Agent("guide", greeting="welcome"), history=history) as caller:
            await caller.pause(3000)
            assert not caller.outlet.replies

    run_virtual(main())


def test_the_conversation_is_handed_over() -> None:
    async def main() -> None:
        suite = scripted_suite()
        billing = Agent("billing", "You know bills.", voice="beta", tools=[weather], description="bills")
        front = Agent("front", "You answer the door.", handoffs=[billing])
        async with agent_call(front, suite=suite) as caller:
            await caller.type("call transfer_to_billing")
            _, answer = await caller.answer(), await caller.answer()
            assert answer.voices == ["beta"]
            assert [each.args for each in caller.outlet.named("agent")] == [("front", None), ("billing", "beta")]
            assert caller.outputs() == ['{"handed_over_to":"billing"}']
            assert caller.agents.agent is billing
        before, after = requests(suite)
        assert [each.name for each in before.tools] == ["transfer_to_billing"]
        assert before.tools[0].description == "Hands the conversation over to billing: bills"
        assert [each.name for each in after.tools] == ["weather"]
        assert after.messages[0].text == "You know bills."

    run_virtual(main())


def test_an_agent_with_a_greeting_says_it_when_it_takes_over() -> None:
    async def main() -> None:
        suite = scripted_suite()
        billing = Agent("billing", greeting="bills here")
        async with agent_call(Agent("front", handoffs=[billing]), suite=suite) as caller:
            await caller.type("call transfer_to_billing")
            assert await caller.said(2) == ["", "bills here"]
            await caller.type("echo thanks")
            assert await caller.said(1) == ["thanks"]
            assert len(requests(suite)) == 2, "the greeting is no answer of the model"

    run_virtual(main())


def test_a_tool_may_return_the_agent_that_goes_on() -> None:
    async def main() -> None:
        night = Agent("night", "It is late.")

        @tool
        def after_hours() -> Agent:
            """Who is there now."""
            return night

        async with agent_call(Agent("front", tools=[after_hours])) as caller:
            await caller.type("call after_hours")
            await caller.said(2)
            assert caller.agents.agent is night

    run_virtual(main())


def test_an_agent_that_would_hand_over_to_nobody_does_not_get_the_conversation() -> None:
    async def main() -> None:
        @tool
        def after_hours() -> Agent:
            """Who is there now."""
            return Agent("night", model="large", handoffs=("nobody",))

        front = Agent("front", tools=[after_hours])
        async with agent_call(front) as caller:
            await caller.type("call after_hours")
            _, told = await caller.said(2)
            assert "There was an error." in told
            assert caller.agents.agent is front
            await caller.type("echo still here")
            assert await caller.said(1) == ["still here"]

    run_virtual(main())


def test_the_client_may_ask_for_another_agent() -> None:
    async def main() -> None:
        suite = scripted_suite()
        async with agent_call(Agent("front", "One."), Agent("billing", "Two."), suite=suite) as caller:
            caller.session.post(Configure(SessionSettings(TurnSettings(paced=True), agent="billing")))
            await caller.type("echo hello")
            await caller.answer()
            assert requests(suite)[0].messages[0].text == "Two."

    run_virtual(main())


class Mixed(ScriptedBrain):
    """Calls two functions at once: one of the agent's, one of the client's."""

    async def respond(self, request: Any) -> Any:
        if request.messages[-1].role == "user":
            self.requests.append(request)
            yield ToolCallDelta("call_ours", "search", "{}")
            yield ToolCallDelta("call_theirs", "lights", '{"on": true}')
            yield Finish("tool_calls")
            return
        async for delta in super().respond(request):
            yield delta


@pytest.mark.parametrize("client_after_s", [0.2, 3.0])
def test_calls_of_both_sides_in_one_reply_are_answered_together(client_after_s: float) -> None:
    async def main() -> None:
        suite = replace(scripted_suite(), brain=Mixed())
        async with agent_call(Agent("guide", tools=[slow(1.0, filler="")]), suite=suite) as caller:
            lights = ReplySettings(tools=(Tool("lights"),))
            caller.session.post(
                Configure(SessionSettings(TurnSettings(paced=True), reply=lights, transcription=True, agent="guide"))
            )
            await caller.type("please", respond=False)
            caller.session.post(CreateReply(ReplyId("resp_a"), lights))
            called = await caller.answer()
            assert set(called.calls) == {"call_ours", "call_theirs"}
            await caller.pause(client_after_s * 1000)
            item = Item(caller.session.ids.item(), "function_call_output", call_id="call_theirs", output="lit")
            caller.session.post(CreateItem(item))
            caller.session.post(CreateReply(ReplyId("resp_b"), lights))
            answer = await caller.answer()
            await caller.pause(3000)
            assert answer.id == "resp_b"
            assert len(caller.outlet.replies) == 2
            assert sorted(caller.outputs()) == ["found", "lit"]
        asked = requests(suite)
        assert [each.name for each in asked[0].tools] == ["search", "lights"]
        assert sum(message.role == "tool" for message in asked[-1].messages) == 2

    run_virtual(main())


def test_calls_of_the_clients_functions_are_left_to_the_client() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide", tools=[weather])) as caller:
            await caller.type("call lights {}")
            await caller.answer()
            await caller.pause(3000)
            assert caller.outputs() == []
            assert len(caller.outlet.replies) == 1

    run_virtual(main())


def test_hooks_hear_of_everything_and_do_no_harm() -> None:
    heard: list[tuple[str, Any]] = []

    async def on_start(context: Context) -> None:
        context.state["count"] = 1
        heard.append(("start", context.session_id))

    async def on_user(context: Context, text: str) -> None:
        heard.append(("user", text))
        if text == "call weather {}":
            await asyncio.Event().wait()  # it never ends, and harms nobody

    async def on_reply(context: Context, text: str) -> None:
        heard.append(("reply", text))
        raise RuntimeError("a hook that fails")

    async def on_tool(context: Context, call: ToolCall) -> None:
        heard.append(("tool", (call.name, call.error is None)))

    async def on_end(context: Context) -> None:
        heard.append(("end", context.state["count"]))

    async def main() -> None:
        hooks = Hooks(on_start, on_user, on_reply, on_tool, on_end)
        agent = Agent("guide", tools=[weather], hooks=hooks)
        async with agent_call(agent, transcription=False) as caller:
            await caller.say("echo hello there")
            await caller.answer()
            await caller.rest()
            await caller.type("call weather {}")
            await caller.said(2)
            await caller.rest()
            assert not caller.outlet.transcripts, "the client did not ask for them"
            await caller.pause(6000)

    run_virtual(main())
    assert heard[:3] == [("start", "sess_1"), ("user", "echo hello there"), ("reply", "hello there")]
    assert ("tool", ("weather", False)) in heard
    assert heard[-1] == ("end", 1)


def test_a_tool_speaks_and_tells_how_far_it_is() -> None:
    @tool(filler="")
    async def search(context: Context) -> str:
        """Searches."""
        context.progress("half")
        context.say("half of it is done")
        await asyncio.sleep(4)
        return "found"

    async def main() -> None:
        async with agent_call(Agent("guide", tools=[search])) as caller:
            await caller.type("call search")
            assert await caller.said(3) == ["", "half of it is done", "search says found"]
            assert [each.args[2:] for each in caller.outlet.named("tool")] == [
                ("running", ""),
                ("progress", "half"),
                ("completed", ""),
            ]

    run_virtual(main())


def test_a_model_that_only_calls_has_to_answer_in_the_end() -> None:
    class Caller(ScriptedBrain):
        async def respond(self, request: Any) -> Any:
            self.requests.append(request)
            if request.tool_choice == "none":
                yield TextDelta("enough")
                yield Finish()
            else:
                yield ToolCallDelta(f"call_{len(self.requests)}", "weather", '{"at": "home"}')
                yield Finish("tool_calls")

    async def main() -> None:
        suite = replace(scripted_suite(), brain=Caller())
        async with agent_call(Agent("guide", tools=[weather]), suite=suite) as caller:
            await caller.type("go on")
            await caller.hears("enough")
            await caller.rest()
            assert len(requests(suite)) == 9

    run_virtual(main())


def test_hanging_up_ends_the_tools() -> None:
    ended: list[bool] = []

    @tool
    async def search() -> str:
        """Searches."""
        try:
            await asyncio.sleep(600)
        finally:
            ended.append(True)
        return "found"

    async def main() -> None:
        async with agent_call(Agent("guide", tools=[search])) as caller:
            await caller.type("call search")
            await caller.answer()

    run_virtual(main())
    assert ended == [True]


def test_plain_functions_run_beside_the_event_loop() -> None:
    threads: list[str] = []

    @tool
    def search() -> str:
        """Searches."""
        threads.append(threading.current_thread().name)
        return "found"

    async def main() -> None:
        async with agent_call(Agent("guide", tools=[search])) as caller:
            await caller.type("call search")
            assert (await caller.said(2))[1] == "search says found"

    run_virtual(main())
    assert threads == ["antiphon-tool"]


def test_what_was_prepared_before_a_result_came_is_prepared_anew() -> None:
    async def main() -> None:
        suite = scripted_suite()
        settings = SessionSettings(
            TurnSettings(paced=True, silence_duration_ms=1000, prepare_after_ms=100), agent="guide"
        )
        async with agent_call(Agent("guide", tools=[slow(2.0)], fillers=[]), suite=suite, settings=settings) as caller:
            await caller.type("call search")
            await caller.answer()
            await caller.pause(max(0.0, 2.0 - caller.now - 0.5) * 1000)
            await caller.say("echo so what")
            answer = await caller.answer()
            await caller.rest()
            assert answer.status == "completed"
            assert "found" in [message.text for message in requests(suite)[-1].messages]
            assert len(caller.outlet.replies) == 2

    run_virtual(main())


def states(caller: AgentCaller) -> list[State]:
    return [each.args[0] for each in caller.outlet.named("state")]


def test_counting_is_as_without_an_agent() -> None:
    async def main() -> None:
        async with agent_call(Agent("guide"), suite=scripted_suite(llm="tokens=12")) as caller:
            await caller.say("tell me something")
            answer = await caller.answer()
            await caller.rest()
            assert caller.context() == [("user", "tell me something"), ("assistant", count_to(12))]
            assert answer.status == "completed"
            assert states(caller)[-1] is State.IDLE

    run_virtual(main())
