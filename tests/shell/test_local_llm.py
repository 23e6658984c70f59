"""The search for a local language model."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import web

from antiphon.engines import local_llm
from antiphon.engines.catalog import make_brain
from antiphon.engines.local_llm import find_local_llm, first_model
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.openai_chat import OpenAIChat
from antiphon.errors import ConfigError

MODELS = {"object": "list", "data": [{"id": "nomic-embed-text"}, {"id": "llama:latest"}, {"id": "qwen"}]}


class Machine:
    """Local servers under the names of the programs; each answers as told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ports: dict[str, int] = {}
        self._stack = AsyncExitStack()
        monkeypatch.setattr(local_llm, "LOCAL_SERVERS", self.ports)
        monkeypatch.setattr(local_llm, "PROBE_S", 5.0)

    async def serve(self, program: str, models: object, health: object = None, status: int = 200) -> None:
        async def list_models(_request: web.Request) -> web.Response:
            if isinstance(models, str):
                return web.Response(text=models, status=status)
            return web.json_response(models, status=status)

        async def tell_health(_request: web.Request) -> web.Response:
            return web.json_response(health, status=404 if health is None else 200)

        app = web.Application()
        app.router.add_get("/v1/models", list_models)
        app.router.add_get("/health", tell_health)
        runner = web.AppRunner(app)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.ports[program] = runner.addresses[0][1]

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of models that were pulled: none yet."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
async def machine(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    made = Machine(monkeypatch)
    yield made
    await made.close()


async def test_the_first_server_with_a_model_for_chat_is_found(machine: Machine) -> None:
    await machine.serve("Ollama", {"object": "list", "data": None})
    await machine.serve("LM Studio", {"data": [{"id": "text-embedding-x"}]})
    await machine.serve("llama.cpp", MODELS, {"status": "ok"})
    await machine.serve("vLLM", {"data": [{"id": "other"}]})
    brain = await find_local_llm()
    assert isinstance(brain, OpenAIChat)
    assert "llama:latest at llama.cpp" in brain.description
    assert (await find_local_llm([machine.ports["llama.cpp"]])).name == "openai:other"
    assert (await make_brain("auto", "qwen")).name == "openai:qwen"
    assert (await make_brain("auto", "llama")).name == "openai:llama"
    with pytest.raises(ConfigError, match="huge"):
        await make_brain("auto", "huge")


@pytest.mark.parametrize(
    ("models", "health", "status"),
    [
        pytest.param(MODELS, {"service": "antiphon"}, 200, id="our own server"),
        pytest.param(MODELS, None, 401, id="a server that wants a key"),
        pytest.param("<html>", None, 200, id="a web page"),
        pytest.param(["llama"], None, 200, id="other JSON"),
        pytest.param({"data": ["llama", 3]}, None, 200, id="other models"),
    ],
)
async def test_what_is_no_server_for_chat_is_passed_over(
    machine: Machine, models: object, health: object, status: int
) -> None:
    await machine.serve("llama.cpp", models, health, status)
    machine.ports["vLLM"] = 9
    brain = await find_local_llm()
    assert brain.name == "alice"
    assert "--llm URL" in brain.description
    await brain.close()


async def test_the_model_of_a_server_that_is_asked_for_none_is_the_first_it_lists(machine: Machine) -> None:
    await machine.serve("llama.cpp", MODELS)
    assert await first_model(f"http://127.0.0.1:{machine.ports['llama.cpp']}") == "nomic-embed-text"
    await machine.serve("vLLM", "<html>")
    assert await first_model(f"http://127.0.0.1:{machine.ports['vLLM']}/v1") is None


def pull(models: Path, name: str, at_s: float) -> None:
    folder = models / "gguf" / name
    folder.mkdir(parents=True)
    (folder / "weights.gguf").write_bytes(b"GGUF")
    os.utime(folder, (at_s, at_s))


async def test_without_a_server_the_newest_model_that_was_pulled(machine: Machine, models: Path) -> None:
    pull(models, "older", 1000.0)
    pull(models, "newer", 2000.0)
    pull(models, "oldest", 500.0)
    pull(models, ".coming.pull", 3000.0)
    assert (await find_local_llm()).name == "gguf:newer"
    assert (await find_local_llm(model="older")).name == "gguf:older"
    with pytest.raises(ConfigError, match="nor was it pulled"):
        await find_local_llm(model="unheard-of")
    await machine.serve("Ollama", MODELS)
    assert (await find_local_llm()).name == "openai:llama:latest"
    assert (await find_local_llm(model="older")).name == "gguf:older"


async def test_without_llama_cpp_nothing_is_taken(
    machine: Machine, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(models, "tiny", 1000.0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert (await find_local_llm()).name == "alice"
