"""Voice packs that change under a worker's, a server's and a library's hands, heard in the audio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from tests.shell.test_pack_folder import make_pack
from tests.shell.tiny_voices import write_piper_voice
from tests.shell.worker_client import Speaker, channel_to, pcm_of, worker_process

from antiphon.apps.config import Config
from antiphon.apps.models import command
from antiphon.apps.server import Server
from antiphon.audio import MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ
from antiphon.v1 import models_pb2 as pb
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub

TEXT = "Good morning, this is the front desk. How may I help you?"
LONG = f"{TEXT} {TEXT} {TEXT}"
SCRIPTED = {"port": 0, "vad": "scripted", "asr": "scripted", "llm": "scripted", "tts": "pico,espeak"}


def write(folder: Path, metadata: str) -> None:
    (folder / "metadata.yaml").write_text(metadata)


class Worker:
    """A client of a worker process."""

    def __init__(self, stub: Any) -> None:
        self.stub = stub

    async def reload(self, model: str = "") -> int:
        answer = await self.stub.Control(pb.ControlRequest(verb=pb.ControlRequest.RELOAD, model=model))
        return int(answer.segments)

    async def voices(self) -> dict[str, list[str]]:
        listed = await self.stub.ListModels(pb.ListModelsRequest())
        return {model.name: [voice.name for voice in model.voices] for model in listed.models}

    async def seconds(self, model: str, voice: str, text: str = TEXT) -> float:
        speaker = Speaker(self.stub, model=model, voice=voice)
        await speaker.credit(100_000)
        await speaker.say(0, text)
        messages = await speaker.segment()
        await speaker.close()
        return len(pcm_of(messages)) / 2 / MOUTH_RATE_HZ


@asynccontextmanager
async def a_worker(packs: Path, *models: str) -> AsyncIterator[Worker]:
    options = ("--models", ",".join(models), "--voicepacks", str(packs))
    async with worker_process("tts", *options) as process, channel_to(process.address) as channel:
        yield Worker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]


async def test_a_worker_reads_its_packs_again(tmp_path: Path) -> None:
    folder = make_pack(tmp_path, "espeak:clerk", "languages: en-GB\n")
    async with a_worker(tmp_path, "espeak") as worker:
        assert (await worker.voices())["espeak"][-1] == "clerk"
        plain_s = await worker.seconds("espeak", "clerk")
        running = Speaker(worker.stub, session="running", model="espeak", voice="clerk")
        await running.say(0, LONG)
        await running.say(1, TEXT)
        await running.credit(10)
        heard = await running.frames(10)
        write(folder, "languages: en-GB\nspeed: 0.5\n")
        assert await worker.reload() == 1
        slow_s = await worker.seconds("espeak", "clerk")
        assert slow_s > 1.7 * plain_s
        await running.credit(100_000)
        heard += [message.audio for message in await running.segment()]
        assert len(heard) * 0.02 == pytest.approx(3 * plain_s, rel=0.1)  # it ends as it began
        assert len(pcm_of(await running.segment())) / 2 / MOUTH_RATE_HZ == pytest.approx(slow_s, rel=0.1)
        await running.close()
        write(folder, "languages: en-GB\nspeed: fast\n")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await worker.reload("espeak")
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert f"{folder}/metadata.yaml, line 2: speed" in str(refused.value.details())
        assert await worker.seconds("espeak", "clerk") == pytest.approx(slow_s, rel=0.05)
        make_pack(tmp_path, "piper:desk", "languages: en-US\nmodel: gone\n")
        for asked in ("", "piper"):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await worker.reload(asked)
            assert "piper/desk/metadata.yaml, line 2: model" in str(refused.value.details())
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await worker.reload("nobody")
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_first_pack_of_a_family_brings_its_engine(tmp_path: Path) -> None:
    async with a_worker(tmp_path, "pico") as worker:
        assert list(await worker.voices()) == ["pico"]
        folder = make_pack(tmp_path, "piper:desk", "languages: en-US\nmodel: voice.onnx\n")
        write_piper_voice(folder / "voice.onnx")
        await worker.reload()
        assert (await worker.voices())["piper"] == ["desk"]
        assert await worker.seconds("piper", "desk") > 0.5


async def change(url: str, verb: str, **body: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.post(f"{url}/v1/antiphon/models/{verb}", json=body) as answer:
        return answer.status, await answer.json()


async def models(url: str) -> dict[str, list[str]]:
    """The voices of each model."""
    async with aiohttp.ClientSession() as http, http.get(f"{url}/v1/models") as answer:
        listed = await answer.json()
    return {model["id"]: model.get("voices", []) for model in listed["data"]}


async def seconds(url: str, voice: str) -> float:
    """Of what ``/v1/audio/speech`` gives."""
    body = {"model": "tts", "input": TEXT, "voice": voice, "response_format": "pcm"}
    async with aiohttp.ClientSession() as http, http.post(f"{url}/v1/audio/speech", json=body) as answer:
        assert answer.status == 200, await answer.text()
        return len(await answer.read()) / 2 / WIRE_PCM_RATE_HZ


@pytest.mark.parametrize("in_process", [False, True])
async def test_a_server_reads_packs_again(tmp_path: Path, in_process: bool) -> None:
    folder = make_pack(tmp_path, "pico:clerk", "languages: en-GB\nname: The clerk\n")
    broken = make_pack(tmp_path, "espeak:broken", "languages: en-GB\nmodel: gone\n")
    config = Config.model_validate({**SCRIPTED, "voicepacks": tmp_path, "in_process": in_process})
    async with Server(config) as server:
        names = {voice.name for voice in server.suite.synthesizer.voices}
        assert "pico:clerk" in names
        assert "espeak:broken" not in names
        assert "pico:clerk" in (await models(server.url))["pico"]
        plain_s = await seconds(server.url, "pico:clerk")
        write(folder, "languages: en-GB\nspeed: 0.5\n")
        status, told = await change(server.url, "reload", model="pico:clerk")
        assert (status, told["object"]) == (200, "list")
        assert await seconds(server.url, "pico:clerk") > 1.7 * plain_s
        status, told = await change(server.url, "reload")
        assert status == 409
        assert "broken/metadata.yaml, line 2: model" in told["error"]["message"]
        lost = make_pack(tmp_path, "piper:lost", "languages: en-US\nmodel: gone\n")
        for body in ({}, {"model": "piper:lost"}):
            status, told = await change(server.url, "reload", **body)
            assert (status, "lost/metadata.yaml, line 2: model" in told["error"]["message"]) == (409, True)
        (lost / "metadata.yaml").unlink()
        lost.rmdir()
        write(broken, "languages: de-DE\n")
        assert await command.change("reload", {}, server.url, None) == 0
        names = {voice.name for voice in server.suite.synthesizer.voices}
        assert "espeak:broken" in names
        assert await seconds(server.url, "espeak:broken") > 1
        first = make_pack(tmp_path, "piper:desk", "languages: en-US\nmodel: voice.onnx\n")
        write_piper_voice(first / "voice.onnx")
        assert (await change(server.url, "reload", model="piper:desk"))[0] == 200
        assert await seconds(server.url, "piper:desk") > 0.5
        status, told = await change(server.url, "reload", model="nobody:here")
        assert status == 404
        assert "nobody:here" in told["error"]["message"]


async def test_packs_are_listed_with_what_is_wrong_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ANTIPHON_VOICEPACKS", str(tmp_path))
    make_pack(tmp_path, "pico:anna", "languages: [en-GB]\nname: Anna [desk]\nlicence: CC-BY-4.0\n")
    make_pack(tmp_path, "piper:bert", "languages: [en-GB]\nmodel: gone\n")
    assert await command.list_models(None, None) == 0
    shown = capsys.readouterr().out
    for part in ("pico:anna", "Anna [desk]", "CC-BY-4.0", "piper:bert", "line 2: model: there is no file 'gone'"):
        assert part in shown
