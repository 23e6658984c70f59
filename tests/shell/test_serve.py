"""The server as a process, as a user starts and stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import trustme
import typer

from antiphon.apps import lan

SCRIPTED = ("--vad", "scripted", "--asr", "scripted", "--llm", "scripted", "--tts", "scripted:speed=1")
READY_LIMIT_S = 60.0


class Process:
    """A running ``antiphon serve``: where it listens, and what it said when it is over."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self._process = process
        self.url = url

    def interrupt(self, number: signal.Signals = signal.SIGINT) -> None:
        self._process.send_signal(number)

    async def ended(self) -> tuple[int, str, str]:
        """The exit code, standard output and standard error."""
        out, err = await asyncio.wait_for(self._process.communicate(), 30)
        assert self._process.returncode is not None
        return self._process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def spawned(command: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, close_fds=False
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def serving(*options: str, command: Sequence[str] = ("-m", "antiphon", "serve")) -> AsyncIterator[Process]:
    """``antiphon serve`` on a free port with scripted engines, ready."""
    readable, writable = os.pipe()
    os.set_inheritable(writable, True)
    with os.fdopen(readable, "rb") as ready:
        async with spawned([*command, "--port", "0", "--ready-fd", str(writable), *SCRIPTED, *options]) as process:
            os.close(writable)
            line = await asyncio.wait_for(asyncio.to_thread(ready.readline), READY_LIMIT_S)
            if not line:
                _, err = await process.communicate()
                pytest.fail(f"the server did not start: {err.decode()}")
            yield Process(process, line.decode().strip())


async def run(*options: str) -> tuple[int, str]:
    """Runs ``antiphon serve`` where it is to fail; the exit code and standard error."""
    async with spawned(["-m", "antiphon", "serve", *options]) as process:
        _, err = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, err.decode()


@asynccontextmanager
async def conversation(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A session in which the agent is speaking."""
    hello = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/realtime?pacing=realtime") as call:
        await call.send_json({"type": "conversation.item.create", "item": hello})
        await call.send_json({"type": "response.create"})
        await heard(call, "response.output_audio.delta")
        yield call


async def heard(call: aiohttp.ClientWebSocketResponse, kind: str) -> None:
    while (await call.receive_json(timeout=30))["type"] != kind:
        pass


@pytest.mark.serial
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_sessions_and_the_server_within_two_seconds(number: signal.Signals) -> None:
    async with serving() as server, conversation(server.url) as call:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        server.interrupt(number)
        while (await call.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
            pass
        code, _, err = await server.ended()
        assert loop.time() - began_at < 2
    assert call.close_code == aiohttp.WSCloseCode.GOING_AWAY
    assert code == 0, err
    assert "left behind" not in err
    assert "Traceback" not in err


@pytest.mark.serial
async def test_a_client_that_does_not_answer_holds_nobody_up() -> None:
    async with serving() as server, conversation(server.url) as call:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        server.interrupt()
        code, _, err = await server.ended()
        assert loop.time() - began_at < 2
        assert (code, "left behind" in err) == (0, False), err
        await call.close()


HANGING = textwrap.dedent(
    """
    import asyncio
    from antiphon.apps.cli import main
    from antiphon.engines.scripted import ScriptedBrain

    async def hang(self):
        print("hangs", flush=True)
        await asyncio.Event().wait()

    ScriptedBrain.close = hang
    main()
    """
)


@pytest.mark.serial
async def test_work_that_does_not_stop_is_left_behind_in_time() -> None:
    async with serving("--in-process", command=("-c", HANGING, "serve")) as server:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        server.interrupt()
        code, _, err = await server.ended()
        assert loop.time() - began_at < 2.5
    assert code == 0
    assert "left behind" in err


async def test_a_second_signal_ends_it_at_once() -> None:
    async with serving("--in-process", command=("-c", HANGING, "serve")) as server:
        output = server._process.stdout
        assert output is not None
        server.interrupt()
        while b"hangs" not in await output.readline():
            pass
        server.interrupt()
        code, _, err = await server.ended()
    assert code == 130
    assert "left behind" not in err


async def test_it_says_where_it_listens_what_answers_and_how_to_try_it() -> None:
    async with serving() as server:
        server.interrupt()
        _, out, _ = await server.ended()
    assert f"listens on {server.url}" in out
    for word in ("a scripted brain", "a scripted recognizer", " talk --url", " selftest --url", "import OpenAI"):
        assert word in out


async def test_the_client_that_it_prints_works() -> None:
    async with serving() as server:
        server.interrupt()
        _, out, _ = await server.ended()
    lines = textwrap.dedent(out[out.index("  from openai") : out.index("Ctrl-C")])
    async with serving() as server:
        program = lines.replace(lines[lines.index("http://") : lines.index("/v1")], server.url)
        async with spawned(["-W", "error", "-c", program]) as client:
            said, err = await asyncio.wait_for(client.communicate(), 60)
    assert said.decode().startswith("one two three"), err.decode()


async def test_a_port_in_use_names_the_option() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, err = await run("--port", port, *SCRIPTED)
    assert (code, err) == (
        2,
        f"antiphon: port {port} is in use: choose another with --port, or --port 0 for a free one\n",
    )


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--host", "0.0.0.0"], "--api-key"),
        (["--host", "no.such.host.invalid"], "--api-key"),
        (["--host", "no.such.host.invalid", "--insecure"], "--host no.such.host.invalid: "),
        (["--tls-cert", "missing.pem", "--tls-key", "missing.pem"], "--tls-cert missing.pem"),
        (["--llm", "no-such-engine"], "no-such-engine"),
        (["--tts", "scripted:no_such_option=1"], "no_such_option"),
    ],
)
async def test_what_cannot_be_used_is_told_plainly(options: list[str], reason: str) -> None:
    code, err = await run("--port", "0", *SCRIPTED, *options)
    assert code == 2
    assert err.startswith("antiphon: ")
    assert reason in err
    assert "Traceback" not in err


async def test_it_speaks_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with serving("--tls-cert", str(chain), "--tls-key", str(key)) as server:
        assert server.url.startswith("https://127.0.0.1:")
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as http:
            address = server.url.replace("https", "wss") + "/v1/realtime"
            async with http.ws_connect(address) as call:
                await heard(call, "session.created")
            server.interrupt()
            code, _, err = await server.ended()
    assert code == 0, err


async def test_a_certificate_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    async with serving("--tls", "self-signed", "--host", "0.0.0.0", "--insecure") as server:
        certificate = Path(typer.get_app_dir("antiphon")) / "tls" / "self-signed.pem"
        context = ssl.create_default_context(cafile=str(certificate))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as http, http.get(f"{server.url}/") as response:
            assert "<title>Antiphon</title>" in await response.text()
        server.interrupt()
        code, out, err = await server.ended()
    assert code == 0, err
    assert f"open {server.url} in a browser" in out
    if lan.addresses():
        assert f"From another device on your network: https://{lan.addresses()[0]}:" in out
