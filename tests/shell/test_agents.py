"""The agents of a server: from files and settings to conversations over a WebSocket."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from tests.shell.test_agent_mcp import COMMAND, ENVIRONMENT

from antiphon.agents.agent import Agent
from antiphon.agents.loading import find, load_agents
from antiphon.agents.mcp_server import McpServer
from antiphon.agents.tools import tool
from antiphon.apps.agents import Staff, roster_of
from antiphon.apps.config import Config
from antiphon.apps.config_agents import AgentSection
from antiphon.apps.config_sources import Resolved, render, resolve
from antiphon.apps.server import Server
from antiphon.core.settings import ReplySettings, SessionSettings
from antiphon.errors import ConfigError
from antiphon.transport.realtime.offer import Offer

SCRIPTED: dict[str, Any] = {
    "port": 0,
    "in_process": True,
    "vad": "scripted:",
    "asr": "scripted:",
    "llm": "scripted:",
    "tts": "scripted:",
}

FILE = """
from antiphon import Agent, tool
from colleague_{name} import colleague

@tool
def opening_hours(day: str) -> str:
    \"\"\"Tells the opening hours.\"\"\"
    return f"nine to five on {{day}}"

agent = Agent("front", greeting="welcome", tools=[opening_hours], handoffs=[colleague], fillers=())
"""


def agent_file(folder: Path) -> Path:
    """A Python file with an agent, and another one beside it that it imports."""
    name = folder.name.replace("-", "_")
    path = folder / "desk.py"
    path.write_text(FILE.format(name=name))
    (folder / f"colleague_{name}.py").write_text('from antiphon import Agent\ncolleague = Agent("night")\n')
    return path


def test_agents_are_taken_from_a_python_file(tmp_path: Path) -> None:
    loaded = load_agents(agent_file(tmp_path))
    assert [each.name for each in loaded.agents] == ["night", "front"]
    assert loaded.default.name == "front"
    assert load_agents(tmp_path / "desk.py").default is loaded.default, "a file is run once"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no Python file"),
        ("x = 1", "holds no agent: write `agent = Agent"),
        ("from antiphon import Agent\na = Agent('a')\nb = Agent('b')\n", "holds several agents, a, b"),
        ("1 / 0", "cannot be run: ZeroDivisionError: division by zero"),
        ("from antiphon import Agent\nAgent('two words')", "cannot be run: agent 'two words': a name has letters"),
    ],
)
def test_a_file_that_does_not_serve_is_refused_with_the_reason(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "agent.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_agents(path)


def test_tools_are_named_by_module_or_file(tmp_path: Path) -> None:
    assert find("os.path:join") is __import__("os").path.join
    assert find(f"{agent_file(tmp_path)}:opening_hours")("Monday") == "nine to five on Monday"
    for wrong, said in (
        ("nothing", "give module:name"),
        ("os.path:nothing", "there is no nothing in os.path"),
        ("no_such_module_here:x", "the module cannot be imported: ModuleNotFoundError"),
        (f"{tmp_path}/nothing.py:x", "there is no Python file"),
    ):
        with pytest.raises(ConfigError, match=said):
            find(wrong)


YAML = """
agents:
  - name: front
    instructions: Be brief.
    greeting: welcome
    tools:
      - FOLDER/desk.py:opening_hours
      - mcp:
          command: [python, shop.py]
          env: {SHOP_KEY: a secret}
    handoffs: [billing]
  - name: billing
    voice: beta
    model: scripted
agent: billing
"""


def described(folder: Path, text: str = YAML) -> Resolved:
    agent_file(folder)
    path = folder / "antiphon.yaml"
    path.write_text(text.replace("FOLDER", str(folder)))
    return resolve({}, {}, path)


def test_agents_are_described_in_the_settings(tmp_path: Path) -> None:
    resolved = described(tmp_path)
    roster = roster_of(resolved.config)
    assert roster is not None
    assert list(roster.agents) == ["billing", "front"]
    front = roster.agents["front"]
    assert [each.spec.name for each in front.own_tools] == ["opening_hours"]
    assert [each.label for each in front.mcp] == ["python shop.py"]
    assert roster.colleagues(front) == (roster.agents["billing"],)
    assert (front.model, roster.agents["billing"].model) == (None, "scripted")
    shown = render(resolved)
    assert '"name": "front"' in shown
    assert "a secret" not in shown


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents:\n- name: two words", "agents.0.name: String should match"),
        ("agents:\n- instructions: Be brief.", "agents.0.name: Field required"),
        ("agents:\n- name: a\n  tool: []", "unknown key 'agents.0.tool'"),
        ("agents:\n- name: a\n  tools:\n  - mcp: {}", "mcp: give either the command"),
    ],
)
def test_settings_that_describe_no_agent_are_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        described(tmp_path, text)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (Config(agent="front"), "--agent front: there are no agents"),
        (Config(agent="sales", agents=(AgentSection(name="front"),)), "there is no agent 'sales'; there are front"),
        (Config(agents=(AgentSection(name="front", handoffs=("sales",)),)), "handoffs: there is no agent 'sales'"),
        (Config(agents=(AgentSection(name="front", tools=("a",)),)), "give module:name"),
        (Config(agents=(AgentSection(name="a"), AgentSection(name="a"))), "two agents called a"),
    ],
)
def test_agents_that_cannot_serve_are_refused_at_the_start(config: Config, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Staff(config)


def test_mcp_servers_without_their_package_are_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ConfigError, match=r"agents: MCP servers need .* `pip install 'antiphon\[mcp\]'`"):
        Staff(Config(), [Agent("front", mcp=(McpServer(COMMAND),))])
    Staff(Config(), [Agent("front")])


def test_a_voice_that_is_not_there_is_refused_at_the_start() -> None:
    staff = Staff(Config(), [Agent("front", voice="amy"), Agent("night", voice="nobody")])
    offer = Offer(voices=("amy", "joe"))
    with pytest.raises(ConfigError, match="agent night: there is no voice 'nobody'; there are amy, joe"):
        staff.check(offer)
    assert staff.offer(offer).agents == {"front": "amy", "night": "nobody"}
    assert staff.names == ["front", "night"]
    assert Staff(Config()).offer(offer).agents == {}


def test_a_language_model_that_is_not_there_is_refused_at_the_start() -> None:
    staff = Staff(Config(), [Agent("front", model="qwen3:8b"), Agent("night", model="nobody"), Agent("day")])
    offer = Offer(models=("alice", "openai:qwen3:8b"))
    there = "there is no language model 'nobody'; there are alice, openai:qwen3:8b; --llm, given several times,"
    with pytest.raises(ConfigError, match=f"agent night: {there}"):
        staff.check(offer)
    assert staff.offer(offer).agent_models == {"front": "qwen3:8b", "night": "nobody"}
    asked = SessionSettings(agent="front")
    assert staff.first_reply(asked, offer).model == "openai:qwen3:8b"
    assert staff.first_reply(replace(asked, reply=ReplySettings(model="alice")), offer).model == "alice"
    assert staff.first_reply(SessionSettings(agent="day"), offer).model == ""
    assert Staff(Config()).first_reply(SessionSettings(), offer).model == ""


class Client:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.events: list[dict[str, Any]] = []

    async def post(self, kind: str, **fields: Any) -> None:
        await self._socket.send_str(orjson.dumps({"type": kind, **fields}).decode())

    async def type(self, text: str) -> None:
        content = [{"type": "input_text", "text": text}]
        await self.post("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.post("response.create")

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            event: dict[str, Any] = orjson.loads(await self._socket.receive_str(timeout=30))
            self.events.append(event)
            if event["type"] == kind:
                return event

    async def said(self) -> str:
        response = (await self.until("response.done"))["response"]
        return " ".join(part["text"] for item in response["output"] for part in item.get("content", ()))


async def connect(session: aiohttp.ClientSession, server: Server, query: str = "") -> Client:
    client = Client(await session.ws_connect(f"{server.url}/v1/realtime?events=antiphon{query}"))
    await client.post("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    return client


async def test_a_server_serves_its_agents(tmp_path: Path) -> None:
    config = Config.model_validate({**SCRIPTED, "agent": str(agent_file(tmp_path))})
    async with Server(config) as server, aiohttp.ClientSession() as session:
        client = await connect(session, server)
        assert (await client.until("antiphon.agent"))["agent"] == "front"
        assert await client.said() == "welcome"
        await client.type('call opening_hours {"day": "Friday"}')
        assert await client.said() == ""
        assert await client.said() == "opening_hours says nine to five on Friday"
        other = await connect(session, server, "&agent=night")
        assert (await other.until("antiphon.agent"))["agent"] == "night"
        await other.type("echo hello")
        assert await other.said() == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(session, server, "&agent=nobody")
        assert refused.value.status == 400
        async with session.get(f"{server.url}/health") as health:
            assert (await health.json())["agents"] == ["front", "night"]


async def test_a_server_begins_without_an_mcp_server_that_is_not_there_and_with_one_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("antiphon.apps.agents.MCP_LIMIT_S", 100.0)
    agent = {
        "name": "shop",
        "fillers": [],
        "tools": [
            {"mcp": {"command": ["no-such-command-here"]}},
            {"mcp": {"command": COMMAND, "env": ENVIRONMENT, "tools": ["opening_hours"]}},
        ],
    }
    config = Config.model_validate({**SCRIPTED, "agents": [agent]})
    async with Server(config) as server, aiohttp.ClientSession() as session:
        client = await connect(session, server)
        await client.type('call opening_hours {"day": "Monday"}')
        assert await client.said() == ""
        assert await client.said() == "opening_hours says nine to five on Monday"
        told = [(each["name"], each["status"]) for each in client.events if each["type"] == "antiphon.tool"]
        assert told == [("opening_hours", "running"), ("opening_hours", "completed")]


async def test_a_program_gives_its_agents_to_the_server_itself() -> None:
    @tool
    def double(number: int) -> int:
        """Doubles a number."""
        return 2 * number

    async with (
        Server(Config.model_validate(SCRIPTED), agents=[Agent("calculator", tools=[double], fillers=())]) as server,
        aiohttp.ClientSession() as session,
    ):
        client = await connect(session, server)
        await client.type('call double {"number": 21}')
        assert await client.said() == ""
        assert await client.said() == "double says 42"


async def test_each_agent_answers_by_its_own_language_model_and_a_hand_over_changes_it() -> None:
    brains = ["scripted:token_ms=1,tokens=4", "scripted:token_ms=1,tokens=7"]
    billing = Agent("billing", model=brains[1])
    config = Config.model_validate({**SCRIPTED, "llm": brains})
    async with (
        Server(config, agents=[Agent("front", handoffs=[billing])]) as server,
        aiohttp.ClientSession() as session,
    ):
        client = await connect(session, server)
        await client.type("hello")
        assert len((await client.said()).split()) == 4
        await client.type("call transfer_to_billing")
        assert await client.said() == ""
        assert "handed_over_to" in await client.said()
        await client.type("hello")
        assert len((await client.said()).split()) == 7
        updated = [each["session"]["model"] for each in client.events if each["type"] == "session.updated"]
        assert updated == [brains[0], brains[1]]
        brain = [each["model"] for each in client.events if each["type"] == "antiphon.brain"]
        assert brain == [brains[0], brains[0], brains[1], brains[1]]
        other = await connect(session, server, "&agent=billing")
        await other.type("hello")
        assert len((await other.said()).split()) == 7


async def test_agents_of_a_program_cannot_go_to_other_processes() -> None:
    with pytest.raises(ConfigError, match="agents must come from files"):
        async with Server(Config(port=0, webrtc_workers=2), agents=[Agent("guide")]):
            pass


async def test_without_agents_all_is_as_it_was() -> None:
    async with Server(Config.model_validate(SCRIPTED)) as server, aiohttp.ClientSession() as session:
        client = await connect(session, server)
        await client.type("echo hello")
        assert await client.said() == "hello"
        assert not [each for each in client.events if each["type"] in ("antiphon.agent", "antiphon.tool")]
        async with session.get(f"{server.url}/health") as health:
            assert "agents" not in await health.json()


def test_importing_the_package_is_light() -> None:
    code = "import sys, antiphon; print([name for name in ('pydantic', 'mcp', 'aiohttp') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
