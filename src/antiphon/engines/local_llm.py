"""Finds a language model: among the programs that commonly serve one on this machine, or among those pulled."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.engines.base import Brain
from antiphon.engines.model_files import models_folder
from antiphon.engines.server_names import completed
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from aiohttp import ClientSession

LOCAL_SERVERS: Mapping[str, int] = {"Ollama": 11434, "LM Studio": 1234, "llama.cpp": 8080, "vLLM": 8000}
"""Programs that serve chat completions on this machine, and the ports they have by default; the first wins."""

PROBE_S = 0.5
"""How long a local server may take to list its models."""

LISTING_S = 3.0
"""And how long one at a URL."""

_NOT_FOR_CHAT = ("embed", "rerank", "whisper", "tts")
"""Parts of the names of models that a server lists but that cannot chat."""


async def find_local_llm(exclude_ports: Collection[int] = (), model: str | None = None) -> Brain:
    """The brain over the first local server that answers and has ``model`` (any, if None).

    Else one over a GGUF that was pulled, if llama.cpp is installed; else A.L.I.C.E. Raises ConfigError when ``model``
    is named and nobody has it.
    """
    import aiohttp

    ports = {program: port for program, port in LOCAL_SERVERS.items() if port not in exclude_ports}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(PROBE_S)) as client:
        found = await asyncio.gather(*(_probe(client, program, port) for program, port in ports.items()))
    for server in found:
        chosen = server.choose(model) if server is not None else None
        if server is not None and chosen is not None:
            from antiphon.engines.openai_chat import OpenAIChat

            return OpenAIChat(server.url, chosen, server_name=server.program)
    pulled = _pulled_model(model)
    if pulled is not None:
        from antiphon.engines.llama_brain import LlamaBrain

        return LlamaBrain(pulled)
    if model is not None:
        raise ConfigError(
            f"no local server has the model {model!r}, nor was it pulled: give its server's URL with --llm URL"
        )
    from antiphon.engines.alice import AliceBrain

    return AliceBrain()


def _pulled_model(model: str | None) -> str | None:
    """The name of a GGUF in the models' folder, the one that was put there last if none is named."""
    if importlib.util.find_spec("xllamacpp") is None:
        return None
    found = (file.parent for file in (models_folder() / "gguf").glob("*/*.gguf"))
    folders = [folder for folder in found if not folder.name.startswith(".")]  # which is still being pulled
    if model is not None:
        return model if model in {folder.name for folder in folders} else None
    newest = max(folders, key=lambda folder: folder.stat().st_mtime, default=None)
    return newest.name if newest is not None else None


async def first_model(url: str) -> str | None:
    """The model that a brain over the server at ``url`` asks for where none is named; None if it does not say."""
    import aiohttp

    key = os.environ.get("OPENAI_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(LISTING_S), headers=headers) as client:
        models = _listed(await _json(client, f"{completed(url).rstrip('/')}/models"))
    return models[0] if models else None


@dataclass(frozen=True, slots=True)
class _LocalServer:
    program: str
    url: str
    models: tuple[str, ...]

    def choose(self, model: str | None) -> str | None:
        if model is not None:
            return model if model in self.models or f"{model}:latest" in self.models else None
        return next((name for name in self.models if not any(part in name.lower() for part in _NOT_FOR_CHAT)), None)


async def _probe(client: ClientSession, program: str, port: int) -> _LocalServer | None:
    """The server on ``port``, if it lists models as a chat completions server does and is none of ours."""
    origin = f"http://127.0.0.1:{port}"
    models = _listed(await _json(client, f"{origin}/v1/models"))
    if not models:
        return None
    health = await _json(client, f"{origin}/health")
    if isinstance(health, dict) and health.get("service") == "antiphon":
        return None
    return _LocalServer(program, f"{origin}/v1", models)


def _listed(answer: Any) -> tuple[str, ...]:
    """The models in a chat completions server's list."""
    entries = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        return ()
    return tuple(entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str))


async def _json(client: ClientSession, url: str) -> Any:
    """What the address answers; None when it is no JSON, no success, or nobody listens."""
    import aiohttp

    try:
        async with client.get(url, allow_redirects=False) as response:
            return await response.json(content_type=None) if response.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
