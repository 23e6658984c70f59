"""Media processes within this one: real servers on Unix sockets, with engines that take stated times, and a front."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from tests.shell.rtc_client import RtcClient
from tests.shell.test_http import Mute
from tests.shell.test_websocket import Ledger

from antiphon.apps.config import Config
from antiphon.apps.media.assignment import Assignment
from antiphon.apps.media.link import PATH, Standing
from antiphon.apps.server import Server
from antiphon.core.carriers import Carrier, Carriers, Mark
from antiphon.session.shelf import Shelf
from antiphon.transport.access import granted
from antiphon.transport.http import make_app
from antiphon.transport.limits import Limits
from antiphon.transport.relay import BASE
from antiphon.transport.webrtc.front import CallFront

CALLS = "/v1/realtime/calls"
SECRETS = "/v1/realtime/client_secrets"
KEY = {"Authorization": "Bearer sk-secret"}
SDP = {"Content-Type": "application/sdp"}


class House:
    """Implements ``transport.webrtc.front.Exchange``. People reach it at ``url``."""

    def __init__(self) -> None:
        self.carriers = Carriers()
        self.ledger = Ledger()
        self.servers: dict[int, Server] = {}
        self.outside = aiohttp.ClientSession()
        self.url = ""
        self._inside: dict[int, aiohttp.ClientSession] = {}

    def http(self, number: int) -> aiohttp.ClientSession:
        return self._inside[number]

    def carrier(self, number: int) -> Carrier:
        carrier = self.carriers.at(number)
        assert carrier is not None
        return carrier

    async def join(self, stack: AsyncExitStack, given: Assignment) -> None:
        """One more process."""
        self.servers[given.number] = await stack.enter_async_context(Server(given.config, assignment=given))
        # However slow it is here.
        self.servers[given.number].metrics.admission.admit = lambda now: None  # type: ignore[method-assign]
        connector = aiohttp.UnixConnector(str(given.socket), limit=0)
        http = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        self._inside[given.number] = http
        async with http.ws_connect(f"{BASE}{PATH}", headers=granted({})) as link:
            told = Standing.from_json(await link.receive_str())
        self.carriers.appear(Mark(given.number, told.instance))

    def call(self, path: str = CALLS, **options: Any) -> RtcClient:
        return RtcClient(self.outside, self.url + path, **options)

    def socket(self, query: str, **options: Any) -> Any:
        return self.outside.ws_connect(f"{self.url}/v1/realtime?{query}", **options)

    async def refusal(self, path: str, **options: Any) -> tuple[int, str, Any]:
        """The status of an offer, or what is posted instead, with the code of its error and its headers."""
        options.setdefault("headers", SDP)
        async with self.outside.post(self.url + path, **options) as response:
            return response.status, (await response.json())["error"]["code"], response.headers

    async def upgrade_refusal(self, query: str, **headers: str) -> tuple[int, str | None]:
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", **headers}
        upgrade["Sec-WebSocket-Key"] = base64.b64encode(bytes(16)).decode()
        async with self.outside.get(f"{self.url}/v1/realtime?{query}", headers=upgrade) as response:
            return response.status, (await response.json())["error"]["code"]


@asynccontextmanager
async def house(
    processes: int = 2, *, keys: tuple[str, ...] = (), limits: Limits | None = None
) -> AsyncIterator[House]:
    config = Config.model_validate(
        {
            "in_process": True,
            "vad": "scripted",
            "asr": "scripted:final_ms=0",
            "llm": "scripted:first_token_ms=0,token_ms=1,tokens=4",
            "tts": "scripted:first_audio_ms=0,speed=100",
            "max_sessions": 1,
        }
    )
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="house-"))  # pytest's own is too deep for a socket's path
        stack.callback(shutil.rmtree, folder)
        here = House()
        stack.push_async_callback(here.outside.close)
        for number in range(1, processes + 1):
            await here.join(stack, Assignment(number=number, folder=folder, config=config))
        front = partial(CallFront, exchange=here)
        shelf = Shelf(folder / "records")
        stack.callback(shelf.close)
        app = make_app(Mute, limits=limits, api_keys=keys, watcher=here.ledger, front=front, shelf=shelf)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield here


async def told(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next event of this type."""
    while True:
        event: dict[str, Any] = orjson.loads(await socket.receive_str(timeout=20))
        if event["type"] == kind:
            return event


def number_of(name: str) -> int:
    mark = Mark.of(name)
    assert mark is not None, name
    return mark.number
