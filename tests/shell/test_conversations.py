"""A client that goes on with a conversation: on the wire, in a call, after the server, and on the command line."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from structlog.testing import capture_logs
from tests.shell.rtc_client import RtcClient

from antiphon.agents.agent import Agent
from antiphon.apps.config import Config
from antiphon.apps.conversation_file import ConversationFile
from antiphon.apps.server import Server
from antiphon.apps.sessions import command
from antiphon.errors import ConfigError
from antiphon.session.keeping import Kept
from antiphon.sim.wire_schema import check_schema
from antiphon.transport.gateway import Gateway
from antiphon.transport.realtime.config import SessionConfig

LIMIT_S = 30.0
SCRIPTED = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=4,token_ms=1", "tts": "scripted:speed=50"}

Socket = aiohttp.ClientWebSocketResponse
Event = dict[str, Any]


def serving(file: Path | None, **settings: Any) -> Server:
    sessions = {} if file is None else {"sessions": str(file)}
    return Server(Config.model_validate({"port": 0, "in_process": True, **SCRIPTED, **sessions, **settings}))


async def until(call: Socket, kind: str) -> list[Event]:
    """The events up to the first of this kind."""
    events: list[Event] = []
    while not events or events[-1]["type"] != kind:
        events.append(await call.receive_json(timeout=LIMIT_S))
        check_schema(events[-1], vendor=True)
    return events


async def ask(call: Socket, text: str) -> str:
    """The answer to a typed message."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await call.send_json({"type": "conversation.item.create", "item": item})
    await call.send_json({"type": "response.create", "response": {"output_modalities": ["text"]}})
    response = (await until(call, "response.done"))[-1]["response"]
    assert response["status"] == "completed"
    return str(response["output"][0]["content"][0]["text"])


async def begin(http: aiohttp.ClientSession, server: Server, query: str = "") -> tuple[Socket, Event]:
    """A session, and what it is told of its conversation."""
    call = await http.ws_connect(f"{server.url}/v1/realtime?events=antiphon{query}")
    return call, (await until(call, "antiphon.conversation"))[-1]


async def test_a_conversation_goes_on_after_the_server_was_gone(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    async with aiohttp.ClientSession() as http:
        async with serving(file) as server:
            call, about = await begin(http, server)
            assert about["items"] == 0
            first = await ask(call, "hello")
            await call.close()
        async with serving(file) as server:
            call, again = await begin(http, server, f"&conversation={about['conversation_id']}")
            assert (again["conversation_id"], again["items"]) == (about["conversation_id"], 2)
            told: list[Event] = []
            while len(told) < 4:
                told += await until(call, "conversation.item.done")
            told = [event for event in told if event["type"].startswith("conversation.item")]
            assert [event["type"].rpartition(".")[2] for event in told] == ["added", "done"] * 2
            assert [event["item"]["role"] for event in told[::2]] == ["user", "assistant"]
            assert [event["previous_item_id"] for event in told[::2]] == [None, told[0]["item"]["id"]]
            assert told[2]["item"]["content"][0]["text"] == first
            assert await ask(call, "repeat") == first
            response = await ask(call, "echo still here")
            assert response == "still here"
            await call.close()


async def test_the_response_names_the_conversation(tmp_path: Path) -> None:
    async with serving(tmp_path / "kept.db") as server, aiohttp.ClientSession() as http:
        call, about = await begin(http, server)
        await call.send_json({"type": "response.create", "response": {"output_modalities": ["text"]}})
        done = (await until(call, "response.done"))[-1]
        assert done["response"]["conversation_id"] == about["conversation_id"]
        await call.close()


async def test_who_comes_back_while_the_session_waits_takes_the_conversation_over(tmp_path: Path) -> None:
    async with serving(tmp_path / "kept.db", max_sessions=1) as server, aiohttp.ClientSession() as http:
        first, about = await begin(http, server, "&resumable=1")
        answer = await ask(first, "hello")
        second, _ = await begin(http, server, f"&conversation={about['conversation_id']}")
        while (closed := await first.receive(timeout=LIMIT_S)).type is aiohttp.WSMsgType.TEXT:
            last = closed.json()
        assert last["error"]["code"] == "conversation_taken_over"
        assert (closed.type, closed.extra) == (aiohttp.WSMsgType.CLOSE, "the conversation goes on elsewhere")
        assert await ask(second, "repeat") == answer
        await first.close()
        await second.close()


async def test_a_call_goes_on_with_it(tmp_path: Path) -> None:
    async with serving(tmp_path / "kept.db") as server, aiohttp.ClientSession() as http:
        server.metrics.admission.admit = lambda now: None  # type: ignore[method-assign]  # however slow it is here
        call, about = await begin(http, server)
        answer = await ask(call, "hello")
        await call.close()
        url = f"{server.url}/v1/realtime/calls?conversation={about['conversation_id']}"
        async with RtcClient(http, url) as client:
            await client.until(_told_of_the_agent)
            done = [event for event in client.events if event["type"] == "conversation.item.done"]
            assert [event["item"]["role"] for event in done] == ["user", "assistant"]
            assert done[1]["item"]["content"][0]["text"] == answer


def _told_of_the_agent(event: Event) -> bool:
    return bool(event["type"] == "conversation.item.done" and event["item"]["role"] == "assistant")


async def test_a_session_object_can_name_it_too(tmp_path: Path) -> None:
    async with serving(tmp_path / "kept.db") as server, aiohttp.ClientSession() as http:
        call, about = await begin(http, server)
        answer = await ask(call, "hello")
        await call.close()
        session = {"type": "realtime", "antiphon": {"conversation": about["conversation_id"]}}
        async with http.post(f"{server.url}/v1/realtime/client_secrets", json={"session": session}) as made:
            secret = (await made.json())["value"]
        headers = {"Authorization": f"Bearer {secret}"}
        async with http.ws_connect(f"{server.url}/v1/realtime", headers=headers) as call:
            assert await ask(call, "repeat") == answer


@pytest.mark.parametrize("kept", [True, False])
async def test_one_that_there_is_not_is_refused(tmp_path: Path, kept: bool) -> None:
    async with serving(tmp_path / "kept.db" if kept else None) as server, aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{server.url}/v1/realtime?conversation=conv_nobody")
        assert refused.value.status == 404
        async with http.get(f"{server.url}/v1/antiphon/conversations/conv_nobody") as answer:
            assert answer.status == 404
        async with http.delete(f"{server.url}/v1/antiphon/conversations/conv_nobody") as answer:
            assert answer.status == 404
            expected = "conversation_not_found" if kept else "conversations_not_kept"
            assert (await answer.json())["error"]["code"] == expected


async def test_without_a_file_nobody_is_told_of_conversations() -> None:
    async with (
        serving(None) as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}/v1/realtime?events=antiphon") as call,
    ):
        await call.send_json({"type": "session.update", "session": {"type": "realtime"}})
        kinds = {event["type"] for event in await until(call, "session.updated")}
        assert "antiphon.conversation" not in kinds


async def test_one_is_told_of_and_deleted_by_its_id_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "kept.db") as server, aiohttp.ClientSession() as http:
        call, about = await begin(http, server)
        await ask(call, "hello")
        await call.close()
        base, name = f"{server.url}/v1/antiphon/conversations", about["conversation_id"]
        async with http.get(f"{base}/{name}") as answer:
            told = await answer.json()
        assert (told["id"], told["items"]) == (name, 2)
        assert told["created_at"] <= told["changed_at"]
        for no_list in (base, f"{base}/"):
            async with http.get(no_list) as answer:
                assert answer.status == 404
        async with http.delete(f"{base}/{name}") as answer:
            assert (await answer.json())["deleted"]
        async with http.get(f"{base}/{name}") as answer:
            assert (await answer.json())["error"]["code"] == "conversation_not_found"


async def test_two_that_want_it_at_the_same_time_do_not_both_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, read = asyncio.Event(), asyncio.Event()
    claim = ConversationFile.claim

    async def slowly(file: ConversationFile, conversation: str, holder: str) -> Kept | None:
        reading.set()
        await read.wait()
        return await claim(file, conversation, holder)

    async with serving(tmp_path / "kept.db") as server, aiohttp.ClientSession() as http:
        call, about = await begin(http, server)
        said = await ask(call, "hello")
        await call.close()
        monkeypatch.setattr(ConversationFile, "claim", slowly)
        query = f"&conversation={about['conversation_id']}"
        first = asyncio.create_task(begin(http, server, query))
        await reading.wait()
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await begin(http, server, query)
        assert refused.value.status == 409
        read.set()
        call, _ = await first
        assert await ask(call, "repeat") == said
        later, told = await begin(http, server, query)
        assert told["items"] == 4, "one after the other it goes over to the second"
        await later.close()
        await call.close()


async def test_one_that_another_process_wants_too_goes_to_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path / "kept.db") as server, aiohttp.ClientSession() as http:
        call, about = await begin(http, server)
        await ask(call, "hello")
        await call.close()
        claim = ConversationFile.claim

        async def overtaken(file: ConversationFile, conversation: str, holder: str) -> Kept | None:
            [gateway] = gateways
            await gateway.release(conversation)
            return await claim(file, conversation, holder)

        gateways: list[Gateway] = []
        recalled = Gateway.recalled

        def noted(gateway: Gateway, config: SessionConfig) -> Any:
            gateways.append(gateway)
            return recalled(gateway, config)

        monkeypatch.setattr(Gateway, "recalled", noted)
        monkeypatch.setattr(ConversationFile, "claim", overtaken)
        socket = await http.ws_connect(f"{server.url}/v1/realtime?conversation={about['conversation_id']}")
        closed = await socket.receive(timeout=LIMIT_S)
        assert closed.data == aiohttp.WSCloseCode.TRY_AGAIN_LATER
        assert "try again" in str(closed.extra)
        monkeypatch.undo()
        again, told = await begin(http, server, f"&conversation={about['conversation_id']}")
        assert told["items"] == 2
        await again.close()


NIGHT = Agent("night", voice="beta", model="scripted:tokens=3")
DAY = Agent("day", voice="alpha", greeting="welcome", handoffs=(NIGHT,), fillers=())


def staffed(file: Path, *agents: Agent) -> Server:
    settings = {"sessions": str(file), **SCRIPTED, "llm": ["scripted:tokens=4,token_ms=1", "scripted:tokens=3"]}
    return Server(Config.model_validate({"port": 0, "in_process": True, **settings}), agents=agents)


async def agent_of(call: Socket) -> str:
    return str((await until(call, "antiphon.agent"))[-1]["agent"])


async def handed_over(http: aiohttp.ClientSession, file: Path) -> str:
    """A conversation that the night has at its end."""
    async with staffed(file, DAY) as server:
        call = await http.ws_connect(f"{server.url}/v1/realtime?events=antiphon")
        told = await until(call, "antiphon.agent")
        [about] = [event for event in told if event["type"] == "antiphon.conversation"]
        assert told[-1]["agent"] == "day"
        content = [{"type": "input_text", "text": "call transfer_to_night"}]
        item = {"type": "message", "role": "user", "content": content}
        await call.send_json({"type": "conversation.item.create", "item": item})
        await call.send_json({"type": "response.create"})
        assert await agent_of(call) == "night"
        await call.close()
    return str(about["conversation_id"])


async def test_it_goes_on_with_the_agent_that_had_it(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    async with aiohttp.ClientSession() as http:
        query = f"events=antiphon&conversation={await handed_over(http, file)}"
        async with staffed(file, DAY) as server:
            call = await http.ws_connect(f"{server.url}/v1/realtime?{query}")
            told = await until(call, "antiphon.agent")
            assert told[-1]["agent"] == "night"
            session = told[0]["session"]
            assert session["model"] == "scripted:tokens=3"
            assert session["audio"]["output"]["voice"] == "beta"
            assert len((await ask(call, "well")).split()) == 3, "its own model answers"
            await call.close()
            for chosen in ("&agent=day", "&intent=transcription"):
                call = await http.ws_connect(f"{server.url}/v1/realtime?{query}{chosen}")
                if "agent" in chosen:
                    assert await agent_of(call) == "day", "the client's choice goes before"
                await call.close()


async def test_a_voice_that_the_client_has_chosen_stays(tmp_path: Path) -> None:
    file = tmp_path / "kept.db"
    async with aiohttp.ClientSession() as http:
        name = await handed_over(http, file)
        async with staffed(file, replace(DAY, handoffs=(replace(NIGHT, voice="alpha"),))) as server:
            own = {"conversation": name}
            session = {"antiphon": own, "audio": {"output": {"voice": "beta"}}}
            async with http.post(f"{server.url}/v1/realtime/client_secrets", json={"session": session}) as made:
                secret = (await made.json())["value"]
            headers = {"Authorization": f"Bearer {secret}"}
            call = await http.ws_connect(f"{server.url}/v1/realtime?events=antiphon", headers=headers)
            told = await until(call, "antiphon.agent")
            assert (told[-1]["agent"], told[-1]["voice"]) == ("night", "beta")
            await call.close()


@pytest.mark.parametrize("agents", [(replace(DAY, handoffs=()),), ()])
async def test_an_agent_that_is_gone_is_told_in_the_log(tmp_path: Path, agents: tuple[Agent, ...]) -> None:
    file = tmp_path / "kept.db"
    async with aiohttp.ClientSession() as http:
        query = f"events=antiphon&conversation={await handed_over(http, file)}"
        with capture_logs() as logs:
            async with staffed(file, *agents) as server:
                call = await http.ws_connect(f"{server.url}/v1/realtime?{query}")
                if agents:
                    assert await agent_of(call) == "day"
                assert await ask(call, "echo still here") == "still here"
                await call.close()
        [line] = [line for line in logs if "agent" in line]
        assert (line["log_level"], line["agent"]) == ("warning", "night")
        assert "not known any more" in line["event"]


async def test_the_command_lists_and_deletes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "kept.db"
    async with serving(file) as server, aiohttp.ClientSession() as http:
        call, about = await begin(http, server)
        await ask(call, "hello")
        await call.close()
        name = about["conversation_id"]
        assert await command.list_sessions(file) == 0
        assert name in capsys.readouterr().out
        assert await command.delete([name, "conv_nobody"], file) == 1
        told = capsys.readouterr().out
        assert f"{name} is deleted" in told
        assert "conv_nobody: there is none such" in told
        assert await command.list_sessions(file) == 0
        assert name not in capsys.readouterr().out


async def test_the_command_looks_where_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="Give the file"):
        await command.list_sessions(None)
    monkeypatch.setenv("ANTIPHON_SESSIONS", str(tmp_path / "kept.db"))
    with pytest.raises(ConfigError, match="there is no such file"):
        await command.list_sessions(None)
    async with serving(tmp_path / "kept.db"):
        assert await command.list_sessions(None) == 0
