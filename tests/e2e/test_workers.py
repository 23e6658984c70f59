"""The workers of a real server are killed while somebody talks with it: what is heard is whole nevertheless."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.conftest import Ask
from tests.e2e.listening import word_error_rate
from tests.e2e.microphone import Microphone
from tests.e2e.plain_client import PlainClient
from tests.e2e.test_protocol_conformance import audio_of
from tests.e2e.wiretap import Wiretap

from antiphon.apps.runtime_folder import runtime_folder
from antiphon.apps.selftest.cast import hearings
from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.engines.moonshine import Moonshine

pytestmark = pytest.mark.serial  # how long what is heard was interrupted is measured

QUESTION = "What is the capital of France?"
LONG = "What can you do?"
STORY = "Tell me a story."

START_LIMIT_S = 90.0
BACK_LIMIT_S = 30.0
MAX_STOP_S = 2.0
SELF_TEST_LIMIT_S = 150.0

MAX_PSS_MB = 700
"""What all processes of the server on its embedded engines take together."""

MAX_WER = 0.4
"""Between a reply's text and what the recognizer hears in its audio, as in the self-test."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server, the process that was started."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    folder: Path
    """Where its sockets are."""

    async def health(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/health") as answer:
            health: dict[str, Any] = await answer.json()
            return health

    async def pids(self) -> dict[str, int]:
        return {worker["name"]: worker["pid"] for worker in (await self.health())["workers"]}

    async def speaking(self) -> str:
        """The one worker that speaks now."""
        (name,) = (w["name"] for w in (await self.health())["workers"] if w["stage"] == "tts" and w["active"])
        return str(name)

    async def kill(self, name: str) -> None:
        os.kill((await self.pids())[name], signal.SIGKILL)

    async def back(self, name: str) -> None:
        """Waits until the worker serves again, as those wait who ask for its health."""
        async with asyncio.timeout(BACK_LIMIT_S):
            while True:
                health = await self.health()
                worker = next(worker for worker in health["workers"] if worker["name"] == name)
                if health["status"] == "ok" and worker["state"] == "serving":
                    return
                await asyncio.sleep(0.1)

    async def spare(self) -> int:
        """The process that stands by to speak."""
        async with asyncio.timeout(BACK_LIMIT_S):
            while True:
                for worker in (await self.health())["workers"]:
                    if worker["name"] == "tts" and "spare_pid" in worker:
                        return int(worker["spare_pid"])
                await asyncio.sleep(0.1)

    async def gaps(self, stage: str) -> tuple[int, float]:
        """How many handovers there were, and their gaps in s together."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        samples = {
            sample.name.rpartition("_")[2]: sample.value
            for family in families
            if family.name == "antiphon_handover_gap_seconds"
            for sample in family.samples
            if sample.labels == {"stage": stage}
        }
        return int(samples.get("count", 0)), samples.get("sum", 0.0)


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    """``antiphon serve`` with its sockets in ``folder``; it need not be there any more at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    ready, told = os.pipe()
    command = (sys.executable, "-m", "antiphon", "serve", "--port", "0", "--ready-fd", str(told), *options)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    with log.open("wb") as out, os.fdopen(ready, "r") as address:
        process = subprocess.Popen(
            command, pass_fds=(told,), stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=environment
        )
        os.close(told)
        try:
            readable, _, _ = select.select([address], [], [], START_LIMIT_S)
            url = address.readline().strip() if readable else ""
            assert url, f"the server did not start:\n{log.read_text()}"
            yield Running(url, process, log, folder)
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The engines that everybody has, each stage in a process of its own."""
    with running(tmp_path_factory.mktemp("embedded") / "run", "--llm", "alice") as server:
        yield server


async def speech_of(tap: Wiretap, since: int) -> tuple[str, str]:
    """The last response's words, and what is heard in its audio."""
    done = await tap.wait_for("response.done", since=since)
    assert done["response"]["status"] == "completed", done
    events = tap.seen(since=since)
    said = " ".join(event["transcript"] for event in events if event["type"] == "response.output_audio_transcript.done")
    recognizer = Moonshine()
    try:
        await recognizer.load()
        heard = await hearings(recognizer, audio_of(events))
    finally:
        await recognizer.close()
    return said, min(heard, key=lambda text: word_error_rate(text, said))


async def kill_while_it_speaks(server: Running, ask_for: str) -> tuple[str, str]:
    """Kills the worker that speaks when the first second of a reply is out; what was said and heard."""
    async with Wiretap(server.url) as tap, PlainClient(tap, pacing="realtime") as client:
        since = tap.mark()
        await client.write(ask_for)
        await client.send("response.create")
        await tap.wait_for(
            "response.output_audio.delta",
            lambda _: len(audio_of(tap.seen(since=since))) > 2 * WIRE_PCM_RATE_HZ,
            since=since,
        )
        await server.kill(await server.speaking())
        return await speech_of(tap, since)


async def test_a_reply_goes_on_when_its_voice_is_killed_in_mid_word(embedded: Running) -> None:
    spare = await embedded.spare()
    said, heard = await kill_while_it_speaks(embedded, LONG)
    assert word_error_rate(heard, said) <= MAX_WER, (said, heard)
    await embedded.back("tts")
    assert (await embedded.pids())["tts"] == spare
    handovers, gap_s = await embedded.gaps("tts")
    assert handovers == 1
    assert gap_s < 5, "half a second is aimed at"
    assert '"reply_handed_over"' in embedded.log.read_text()


async def test_a_turn_is_heard_whole_when_its_recognizer_is_killed_within_it(embedded: Running, ask: Ask) -> None:
    async with Wiretap(embedded.url) as tap, PlainClient(tap) as client, Microphone(client.hear) as microphone:
        detection = {"type": "server_vad", "silence_duration_ms": 500}
        await client.configure(audio={"input": {"transcription": {"model": "whisper-1"}, "turn_detection": detection}})
        saying = asyncio.create_task(microphone.say(ask(QUESTION)))
        await tap.wait_for("input_audio_buffer.speech_started")
        await embedded.kill("asr")
        await saying
        written = await tap.wait_for("conversation.item.input_audio_transcription.completed")
        assert word_error_rate(written["transcript"], QUESTION) <= MAX_WER, written["transcript"]
        done = await tap.wait_for("response.done")
        assert done["response"]["status"] == "completed"
    await embedded.back("asr")


async def test_a_brain_that_is_killed_between_turns_answers_the_next(embedded: Running) -> None:
    async with Wiretap(embedded.url) as tap, PlainClient(tap) as client:
        for word in ("blue", "red"):
            since = tap.mark()
            await client.write(f"My favorite color is {word}.")
            await client.send("response.create")
            done = await tap.wait_for("response.done", since=since)
            assert done["response"]["status"] == "completed", done
            if word == "blue":
                await embedded.kill("llm")
    await embedded.back("llm")


@pytest.mark.timeout(2 * SELF_TEST_LIMIT_S)
async def test_the_self_test_passes_though_each_worker_is_killed_during_a_reply(
    embedded: Running, tmp_path: Path
) -> None:
    await speaks(embedded, yes=False)  # what the test before had said is over
    before = await embedded.pids()
    await embedded.spare()
    report = tmp_path / "report.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "antiphon", "selftest", "--url", embedded.url, "--json", str(report)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    killing = asyncio.create_task(kill_each_in_a_reply_of_its_own(embedded, ["tts", "llm", "asr"]))
    shown, _ = await asyncio.wait_for(process.communicate(), SELF_TEST_LIMIT_S)
    assert process.returncode == 0, shown.decode()
    assert killing.done(), "there were fewer replies than workers"
    await killing
    told = json.loads(report.read_bytes())["processes"]
    assert told == {"server": embedded.process.pid, **before}
    for name, pid in before.items():
        await embedded.back(name)
        assert (await embedded.pids())[name] != pid


async def kill_each_in_a_reply_of_its_own(server: Running, names: list[str]) -> None:
    for name in names:
        await speaks(server)
        await server.kill(name)
        await server.back(name)
        await speaks(server, yes=False)


async def speaks(server: Running, *, yes: bool = True) -> None:
    """Until a reply is being spoken, or none is."""
    async with asyncio.timeout(SELF_TEST_LIMIT_S):
        while True:
            active = [worker["active"] for worker in (await server.health())["workers"] if worker["stage"] == "tts"]
            if any(active) is yes:
                return
            await asyncio.sleep(0.02)


async def test_all_processes_together_are_small(embedded: Running) -> None:
    pids = [embedded.process.pid, *(await embedded.pids()).values(), await embedded.spare()]
    assert len(pids) == 5
    assert sum(psutil.Process(pid).memory_full_info().pss for pid in pids) < MAX_PSS_MB << 20


async def test_a_brain_that_is_killed_in_mid_answer_is_told_and_comes_back(tmp_path: Path) -> None:
    with running(tmp_path / "run", "--llm", "scripted:first_token_ms=10,token_ms=100,tokens=40") as server:
        async with Wiretap(server.url) as tap, PlainClient(tap) as client:
            await client.write(STORY)
            await client.send("response.create")
            await tap.wait_for("response.output_audio.delta")
            await server.kill("llm")
            done = await tap.wait_for("response.done")
            assert done["response"]["status"] == "failed"
            assert "llm" in done["response"]["status_details"]["error"]["message"]

            since = tap.mark()
            await client.write(STORY)
            await client.send("response.create")
            done = await tap.wait_for("response.done", since=since)
            assert done["response"]["status"] == "completed"


async def test_a_second_voice_stands_by(tmp_path: Path) -> None:
    with running(tmp_path / "run", "--llm", "alice", "--tts-workers", "2") as server:
        said, heard = await kill_while_it_speaks(server, LONG)
        assert word_error_rate(heard, said) <= MAX_WER, (said, heard)
        handovers, gap_s = await server.gaps("tts")
        assert handovers == 1
        assert gap_s < 1.5, "150 ms are aimed at"


async def test_a_signal_ends_everything_within_two_seconds(tmp_path: Path) -> None:
    with running(tmp_path / "run", "--llm", "alice") as server:
        pids = list((await server.pids()).values())
        async with Wiretap(server.url) as tap, PlainClient(tap, pacing="realtime") as client:
            await client.write(LONG)
            await client.send("response.create")
            await tap.wait_for("response.output_audio.delta")
            loop = asyncio.get_running_loop()
            began_at = loop.time()
            server.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(server.process.wait, 10) == 0
            assert loop.time() - began_at < MAX_STOP_S
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert left_in(server.folder) == []
    assert "Traceback" not in server.log.read_text()


async def test_no_worker_outlives_a_server_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it left in its folder goes with the next start."""
    with running(tmp_path / "run", "--llm", "alice") as server:
        workers = [psutil.Process(pid) for pid in (await server.pids()).values()]
        server.process.kill()
        await asyncio.to_thread(server.process.wait)
        _, alive = await asyncio.to_thread(psutil.wait_procs, workers, 20)
        assert alive == []
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(server.folder))
    with runtime_folder() as folder:
        assert list(server.folder.iterdir()) == [folder]


def left_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))
