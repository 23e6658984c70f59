from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from openai.types.realtime import ClientSecretCreateResponse

from antiphon.core.commands import Command
from antiphon.core.settings import SessionSettings
from antiphon.transport.base import Outlet
from antiphon.transport.http import make_app
from antiphon.transport.limits import Limits
from antiphon.transport.realtime.offer import Offer

SECRETS = "/v1/realtime/client_secrets"
KEY = {"Authorization": "Bearer sk-secret"}


class Mute:
    """A session that says nothing until it is closed."""

    def __init__(self, outlet: Outlet, settings: SessionSettings, session_id: str) -> None:
        self._closed = asyncio.Event()

    def hear(self, pcm: bytes) -> None:
        pass

    def post(self, command: Command) -> None:
        pass

    def close(self) -> None:
        self._closed.set()

    async def run(self) -> None:
        await self._closed.wait()


@asynccontextmanager
async def client(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    runner = web.AppRunner(make_app(Mute, **options), access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession(base) as session:
            yield session
    finally:
        await runner.cleanup()


async def test_health_names_the_engines() -> None:
    def health() -> dict[str, Any]:
        return {"status": "ok", "engines": {"vad": "silero"}}

    async with client(health=health, api_keys=["sk-secret"]) as http, http.get("/health") as response:
        assert response.status == 200
        assert await response.json() == {"service": "antiphon", "status": "ok", "engines": {"vad": "silero"}}


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("starting", 503)])
async def test_readiness_follows_the_status(status: str, code: int) -> None:
    async with client(health=lambda: {"status": status}) as http, http.get("/readiness") as response:
        assert response.status == code
        why = {} if code == 200 else {"reason": f"the server is {status}"}
        assert await response.json() == {"ready": code == 200, "status": status, **why}


async def test_readiness_says_why_there_is_none() -> None:
    health = {"status": "degraded", "reason": "no worker serves tts"}
    async with client(health=lambda: health) as http, http.get("/readiness") as response:
        assert response.status == 503
        assert await response.json() == {"ready": False, **health}


async def test_a_full_server_is_not_ready() -> None:
    async with (
        client(limits=Limits(max_sessions=1)) as http,
        http.ws_connect("/v1/realtime"),
        http.get("/readiness") as response,
    ):
        assert response.status == 503
        assert await response.json() == {"ready": False, "status": "full", "reason": "all sessions are taken"}


async def test_metrics_are_for_those_with_a_key() -> None:
    async def metrics() -> tuple[bytes, str]:
        return b"antiphon_sessions_active 0\n", "text/plain; version=0.0.4; charset=utf-8"

    async with client(metrics=metrics, api_keys=["sk-secret"]) as http:
        async with http.get("/metrics") as refused:
            assert refused.status == 401
        async with http.get("/metrics", headers=KEY) as response:
            assert (await response.text()).startswith("antiphon_sessions_active")
            assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_models_are_listed() -> None:
    async with client(offer=lambda: Offer(models=("alice",))) as http, http.get("/v1/models") as response:
        body = await response.json()
        assert body["object"] == "list"
        assert [model["id"] for model in body["data"]] == ["alice"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nowhere", 404), ("POST", "/v1/models", 405), ("GET", "/metrics", 404)]
)
async def test_errors_have_the_shape_that_clients_read(method: str, path: str, status: int) -> None:
    async with client() as http, http.request(method, path) as response:
        assert response.status == status
        error = (await response.json())["error"]
        assert error["type"] == "invalid_request_error"
        assert path in error["message"]


# Client secrets.


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"session": {"type": "realtime", "model": "gpt-realtime", "audio": {"output": {"voice": "marin"}}}},
        {"session": {"type": "transcription"}, "expires_after": {"anchor": "created_at", "seconds": 60}},
    ],
)
async def test_a_client_secret_has_the_form_of_the_service(body: dict[str, Any]) -> None:
    async with client(api_keys=["sk-secret"]) as http, http.post(SECRETS, json=body, headers=KEY) as response:
        assert response.status == 200
        secret = ClientSecretCreateResponse.model_validate(await response.json())
        assert secret.value.startswith("ek_")
        assert secret.session.type == body.get("session", {}).get("type", "realtime")
        assert secret.session.expires_at == secret.expires_at


async def test_an_empty_body_asks_for_the_defaults() -> None:
    async with client() as http, http.post(SECRETS) as response:
        assert response.status == 200


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"session": 5}', b'{"session": {"tools": 5}}', b'{"expires_after": {"seconds": 1}}'],
)
async def test_nonsense_makes_no_secret(body: bytes) -> None:
    async with client() as http, http.post(SECRETS, data=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]["message"]


async def test_a_client_secret_opens_conversations_and_no_more() -> None:
    async with client(api_keys=["sk-secret"]) as http:
        async with http.post(SECRETS, headers=KEY) as response:
            bearer = {"Authorization": f"Bearer {(await response.json())['value']}"}
        async with http.post(SECRETS, headers=bearer) as response:
            assert response.status == 401
        async with http.get("/metrics", headers=bearer) as response:
            assert response.status == 401
        async with http.ws_connect("/v1/realtime", headers=bearer) as socket:
            assert (await socket.receive_json())["type"] == "session.created"


# Browsers.


async def status_of(http: aiohttp.ClientSession, headers: dict[str, str], method: str = "GET") -> int:
    async with http.request(method, "/v1/models", headers=headers) as response:
        return response.status


async def test_pages_of_the_server_itself_are_welcome() -> None:
    async with client() as http:
        own = str(http._base_url).rstrip("/")
        assert await status_of(http, {"Origin": own}) == 200
        localhost = own.replace("127.0.0.1", "localhost")
        assert await status_of(http, {"Origin": localhost, "Host": localhost.removeprefix("http://")}) == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://"])
async def test_other_pages_are_not(origin: str) -> None:
    async with client() as http:
        assert await status_of(http, {"Origin": origin}) == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect("/v1/realtime", headers={"Origin": origin})


async def test_a_name_that_points_here_is_not_enough_without_a_key() -> None:
    rebound = {"Origin": "http://evil.example:8080", "Host": "evil.example:8080"}
    async with client() as http:
        assert await status_of(http, rebound) == 403
    async with client(api_keys=["sk-secret"]) as http:
        assert await status_of(http, rebound) == 401
        assert await status_of(http, {**rebound, **KEY}) == 200


async def test_pages_on_the_list_are_welcome_and_told_so() -> None:
    origin = {"Origin": "https://app.example"}
    async with client(allowed_origins=["https://app.example"], api_keys=["sk-secret"]) as http:
        async with http.options(SECRETS, headers=origin) as response:
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "X-OpenAI-Agents-SDK" in response.headers["Access-Control-Allow-Headers"]
            assert response.headers["Access-Control-Expose-Headers"] == "Location"
        async with http.post(SECRETS, headers={**origin, **KEY}) as response:
            assert response.status == 200
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert await status_of(http, {"Origin": "https://other.example", **KEY}) == 403


async def test_any_page_may_be_let_in() -> None:
    async with client(allowed_origins=["*"]) as http:
        assert await status_of(http, {"Origin": "https://anyone.example"}) == 200
