"""Tools as they are made and run: threads, limits, what the model is told."""

from __future__ import annotations

import asyncio
import functools
import json
import threading
from dataclasses import dataclass
from typing import Any

import pytest

import antiphon
from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool, ToolError
from antiphon.agents.context import Context
from antiphon.agents.hook_runner import HookRunner
from antiphon.agents.ledger import Call
from antiphon.agents.mcp_server import McpServer
from antiphon.agents.roster import Roster
from antiphon.agents.running import MAX_OUTPUT_CHARS, output_of, run_call
from antiphon.agents.threads import ToolThreads
from antiphon.agents.toolbox import toolbox
from antiphon.agents.tools import tool
from antiphon.errors import ConfigError

NOWHERE = Context("sess_1", "guide")


async def outcome(made: AgentTool, arguments: str = "{}") -> Any:
    return await run_call(made, Call("call_1", made.spec.name, arguments), NOWHERE)


@tool
def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


def test_a_tool_is_still_the_function_that_it_was() -> None:
    assert add(2, 3) == 5
    assert getattr(add, "__name__", None) == "add"
    assert add.__doc__ == "Adds."
    assert isinstance(add, AgentTool)


async def test_a_tool_is_called_with_what_the_model_gives() -> None:
    assert (await outcome(add, '{"a": "2"}')).output == "3"
    for arguments in ("[1]", "{"):
        failed = await outcome(add, arguments)
        assert failed.error is not None and "JSON" in failed.error
        assert "what_to_do" not in failed.output, "the model can mend it by itself"


async def test_the_context_is_given_and_not_shown() -> None:
    @tool
    async def who(context: Context, loud: bool = False) -> str:
        return context.agent

    assert list(who.spec.parameters["properties"]) == ["loud"]
    assert (await outcome(who)).output == "guide"


async def test_a_function_that_hangs_is_given_up_and_its_thread_left_alone() -> None:
    let_go = threading.Event()

    @tool(timeout_s=0.05)
    def hang() -> str:
        let_go.wait()
        return "late"

    failed = await outcome(hang)
    let_go.set()
    assert failed.error == "It took longer than 0.05 seconds."
    assert "sorry" in json.loads(failed.output)["what_to_do"]


async def test_a_tool_that_ignores_being_cancelled_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.agents.running._STOP_LIMIT_S", 0.01)
    let_go = asyncio.Event()

    @tool(timeout_s=0.01)
    async def stubborn() -> str:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        raise RuntimeError("too late for anybody")

    assert (await outcome(stubborn)).error == "It took longer than 0.01 seconds."
    others = asyncio.all_tasks() - {asyncio.current_task()}
    let_go.set()
    await asyncio.wait(others)


async def test_too_many_functions_at_once_are_refused() -> None:
    threads = ToolThreads(most=1)
    let_go = threading.Event()
    loop = asyncio.get_running_loop()
    first = loop.run_in_executor(threads, let_go.wait)
    with pytest.raises(ToolError, match="Too many"):
        threads.submit(let_go.wait)
    let_go.set()
    assert await first
    assert await asyncio.wrap_future(threads.submit(lambda: 7)) == 7


async def test_errors_of_functions_come_through() -> None:
    def fail() -> None:
        raise ToolError("no such day")

    assert (await outcome(tool(fail))).error == "no such day"


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration(), GeneratorExit()], ids=repr
)
async def test_a_tool_ends_neither_the_program_nor_its_call_by_what_it_raises(
    error: BaseException, in_thread: bool
) -> None:
    def fail() -> None:
        raise error

    async def fail_in_loop() -> None:
        raise error

    assert (await outcome(tool(fail if in_thread else fail_in_loop))).error == "There was an error."


async def test_what_a_tool_says_went_wrong_can_be_told() -> None:
    def fail() -> None:
        raise ToolError("no file \udcff")

    assert (await outcome(tool(fail))).error == "no file \ufffd"


@dataclass
class Weather:
    sky: str
    degrees: float


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, '{"ok":true}'),
        ("plain words", "plain words"),
        ("a name of a file: \udcff", "a name of a file: \ufffd"),
        ({"a": [1, 2.5, None]}, '{"a":[1,2.5,null]}'),
        (Weather("clear", 21.0), '{"sky":"clear","degrees":21.0}'),
    ],
)
def test_results_are_told_as_json(result: Any, told: str) -> None:
    assert output_of(result) == told


def test_a_long_result_is_cut_and_says_so() -> None:
    told = output_of("a" * 100_000)
    assert told.startswith("a" * MAX_OUTPUT_CHARS)
    assert told.endswith("[cut: 100000 characters in all]")


async def test_a_result_that_cannot_be_written_is_a_failure() -> None:
    loop: list[Any] = []
    loop.append(loop)

    @tool
    async def circle() -> list[Any]:
        return loop

    assert (await outcome(circle)).error == "Its result could not be read."


def test_agents_are_checked_when_they_are_made() -> None:
    for wrong, said in (
        ({"name": "two words"}, "letters, digits"),
        ({"name": "a", "tools": [add, add]}, "several tools called add"),
        ({"name": "a", "tools": ["add"]}, "is no tool"),
    ):
        with pytest.raises(ConfigError, match=said):
            Agent(**wrong)


def test_plain_functions_are_tools_too() -> None:
    def now() -> str:
        """The time."""
        return "noon"

    assert [each.spec.name for each in Agent("a", tools=[now]).own_tools] == ["now"]


def test_the_roster_has_all_that_are_reached() -> None:
    night = Agent("night", handoffs=["front"])
    front = Agent("front", handoffs=[night])
    roster = Roster([front], default="night")
    assert list(roster.agents) == ["night", "front"]
    assert roster.colleagues(night) == (front,)
    for agents, default, said in (
        ([], None, "there is no agent"),
        ([front, Agent("front")], None, "two agents called front"),
        ([front], "day", "there is no agent 'day'; there are front, night"),
        ([Agent("a", handoffs=["b"])], None, "there is no agent 'b'"),
    ):
        with pytest.raises(ConfigError, match=said):
            Roster(agents, default)


def test_what_a_model_may_call() -> None:
    @tool(name="add")
    def other() -> str:
        """Not that one."""
        return ""

    agent = Agent("a", "Be kind.", tools=[add])
    tools = toolbox(agent, [Agent("b")], [other])
    assert list(tools) == ["add", "transfer_to_b"]
    assert tools["add"] is add


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "either the command"),
        ({"command": ["a"], "url": "http://a"}, "either the command"),
        ({"command": "python server.py"}, r"a list of words: \['python', 'server.py'\]"),
        ({"url": "127.0.0.1/mcp"}, "give a URL"),
    ],
)
def test_an_mcp_server_must_be_reachable_by_something(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        McpServer(**wrong)


def test_equal_descriptions_are_one_mcp_server() -> None:
    one, two = (McpServer(["a", "b"], env={"x": "1", "a": "2"}) for _ in range(2))
    assert one == two
    assert Roster([Agent("a", mcp=[one]), Agent("b", mcp=[two])]).servers == (one,)
    assert McpServer(url="https://a/mcp?key=1").label == "https://a/mcp"


async def test_a_hook_that_never_ends_is_left_and_too_many_leave_out_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.agents.hook_runner.HOOK_LIMIT_S", 0.01)
    monkeypatch.setattr("antiphon.agents.hook_runner._MOST_WAITING", 2)
    called: list[int] = []
    runner = HookRunner()

    async def forever() -> None:
        await asyncio.Event().wait()

    async def note(number: int) -> None:
        called.append(number)

    runner.add("on_user", lambda: note(1))
    runner.add("on_user", forever)
    runner.add("on_user", lambda: note(2))
    runner.finish()
    await runner.run()
    assert called == [2]


def test_agents_are_had_from_the_package() -> None:
    for name in antiphon.__all__:
        assert getattr(antiphon, name).__module__.startswith(("antiphon.agents.", "antiphon.core."))
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = antiphon.no_such_thing


async def test_a_hook_ends_nothing_by_what_it_raises() -> None:
    called: list[int] = []
    runner = HookRunner()

    async def fail(error: BaseException) -> None:
        called.append(len(called))
        raise error

    for error in (SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), ValueError()):
        runner.add("on_tool", functools.partial(fail, error))
    running = asyncio.create_task(runner.run())
    runner.finish()
    await running
    assert called == [0, 1, 2, 3]


async def test_what_a_tool_says_on_its_way_can_be_told() -> None:
    said: list[str] = []
    context = Context("sess_1", "guide", {}, said.append, said.append)
    context.say("no file \udcff")
    context.progress("half \udcff")
    assert said == ["no file \ufffd", "half \ufffd"]
