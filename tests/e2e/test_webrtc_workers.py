"""Two processes that carry calls, on the embedded engines, and real clients: openai-python, unmodified, with aiortc."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import aiohttp
import psutil
import pytest
from openai import AsyncOpenAI
from tests.e2e.conftest import STOP_LIMIT_S, Ask
from tests.e2e.listening import words_in_common
from tests.e2e.test_openai_python import HEARING, Call
from tests.e2e.test_webrtc import QUESTION, Phone, converse, judge, recognized
from tests.e2e.test_workers import Running, running

from antiphon.core.carriers import Mark

SESSION: Any = {"type": "realtime", "audio": {"input": HEARING}}
BACK_LIMIT_S = 30.0


def process_of(call_id: str) -> str:
    mark = Mark.of(call_id)
    assert mark is not None, call_id
    return f"webrtc-{mark.number}"


async def processes_of(server: Running) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in (await server.health())["webrtc"]}


async def back(server: Running, name: str) -> dict[str, Any]:
    """Waits until a process carries calls again, as those wait who ask for its health."""
    async with asyncio.timeout(BACK_LIMIT_S):
        while True:
            process = (await processes_of(server))[name]
            if process["state"] == "serving":
                return process
            await asyncio.sleep(0.1)


async def begin_to_answer(phone: Phone) -> int:
    """Returns when an answer is heard; where its events and its sound begin."""
    since = len(phone.events)
    content = [{"type": "input_text", "text": QUESTION}]
    phone.send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
    phone.send({"type": "response.create"})
    await phone.until("output_audio_buffer.started", since=since)
    return since


@pytest.mark.timeout(240)
async def test_two_calls_and_the_death_of_a_process(tmp_path_factory: pytest.TempPathFactory, ask: Ask) -> None:
    folder = tmp_path_factory.mktemp("media") / "run"
    with running(folder, "--llm", "alice", "--webrtc-workers", "2") as server:
        client = AsyncOpenAI(api_key="none", base_url=f"{server.url}/v1")
        async with client, aiohttp.ClientSession() as http:
            await converse_and_kill(server, client, http, ask)
        pids = [each["pid"] for each in (await processes_of(server)).values()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(STOP_LIMIT_S) == 0
        assert not any(psutil.pid_exists(pid) for pid in pids)
        assert not any(folder.iterdir())


async def converse_and_kill(server: Running, client: AsyncOpenAI, http: aiohttp.ClientSession, ask: Ask) -> None:
    doomed, other = Phone(http, ""), Phone(http, "")
    try:
        ids = [await phone.dial(client, SESSION) for phone in (doomed, other)]
        assert sorted(map(process_of, ids)) == ["webrtc-1", "webrtc-2"]
        for phone in (doomed, other):
            await phone.until("session.created")
        async with client.realtime.connect(call_id=ids[1]) as connection:
            side = Call(connection, 45.0)
            listener = asyncio.create_task(side.listen())
            await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
            assert (await side.until("session.updated")).session.instructions == "Be brief."

            said = await converse(other, ask)
            answer = await recognized(http, server.url, bytes(other.heard))
            assert words_in_common(answer, said) > 0.6, (answer, said)

            await goes_on_when_another_is_killed(server, http, doomed, other)
            await client.realtime.calls.hangup(ids[1])
            await asyncio.wait_for(listener, 20)
        again = Phone(http, "")
        assert process_of(await again.dial(client, SESSION)) == process_of(ids[0]), "all are idle again"
        await again.until("session.created")
        await again.close()
    finally:
        await doomed.close()
        await other.close()


async def goes_on_when_another_is_killed(
    server: Running, http: aiohttp.ClientSession, doomed: Phone, other: Phone
) -> None:
    await begin_to_answer(doomed)
    before = len(other.heard)
    since = await begin_to_answer(other)
    name = process_of(doomed.call_id)
    os.kill((await processes_of(server))[name]["pid"], signal.SIGKILL)

    async with http.post(f"{server.url}{doomed.location}/hangup") as answer:
        assert answer.status in (410, 503), "it is lost, or about to be noticed"
    done = await other.until("response.done", since=since)
    await other.until("output_audio_buffer.stopped", since=since)
    assert done["response"]["status"] == "completed"
    judge(other.events)
    said = done["response"]["output"][0]["content"][0]["transcript"]
    heard = await recognized(http, server.url, bytes(other.heard[before:]))
    assert words_in_common(heard, said) > 0.6, (heard, said)

    process = await back(server, name)
    assert (process["restarts"], process["last_exit"]) == (1, "SIGKILL")
    async with http.post(f"{server.url}{doomed.location}/hangup") as answer:
        assert answer.status == 410
        assert (await answer.json())["error"]["code"] == "call_lost"
