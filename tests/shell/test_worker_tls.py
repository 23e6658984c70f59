"""Workers on loopback that are reached by TLS, with certificates on both sides, and what is told where one is wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme
from structlog.testing import capture_logs
from tests.shell.fleet_client import WAIT_S, heard, pieces
from tests.shell.worker_client import worker_process

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.core.speech import Voice
from antiphon.errors import ConfigError, EngineError
from antiphon.voices.fleet import Fleet
from antiphon.voices.registry import StaticRegistry
from antiphon.voices.synthesizer import FleetSynthesizer
from antiphon.voices.worker_tls import WorkerTls, trouble_of

Span = tuple[datetime | None, datetime | None]
DAY = timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TOLD_WITHIN_S = 20.0
"""It takes some tens of milliseconds; a worker that does not come up is waited for 30 s."""


class Papers:
    """The files of an authority."""

    def __init__(self, folder: Path, name: str) -> None:
        self._authority = trustme.CA()
        self._folder = folder / name
        self._folder.mkdir()
        self.ca = self._folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.ca))

    def issue(self, *names: str, valid: Span = (None, None)) -> tuple[Path, Path]:
        """The certificate chain and its key."""
        issued = self._authority.issue_cert(*names, not_before=valid[0], not_after=valid[1])
        cert, key = self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        key.write_bytes(issued.private_key_pem.bytes())
        return cert, key


@pytest.fixture
def ours(tmp_path: Path) -> Papers:
    return Papers(tmp_path, "ours")


@asynccontextmanager
async def fleet_of(address: str, tls: WorkerTls | None) -> AsyncIterator[Fleet]:
    fleet = Fleet("tts", StaticRegistry((address,)), tls=tls)
    try:
        yield fleet
    finally:
        await fleet.close()


def serving(papers: Papers, *names: str, client_ca: Path | None = None, valid: Span = (None, None)) -> tuple[str, ...]:
    cert, key = papers.issue(*names, valid=valid)
    options = ("tts", "--models", "scripted", "--tls-cert", str(cert), "--tls-key", str(key))
    return options if client_ca is None else (*options, "--tls-ca", str(client_ca))


async def test_with_certificates_on_both_sides_it_is_as_without(ours: Papers) -> None:
    cert, key = ours.issue("client.example")
    async with (
        worker_process(*serving(ours, "127.0.0.1", client_ca=ours.ca)) as worker,
        fleet_of(worker.address, WorkerTls(ours.ca, cert, key)) as fleet,
    ):
        await fleet.start()
        speech = FleetSynthesizer(fleet).speak(pieces("one two"), Voice("scripted:alpha"))
        assert heard([chunk async for chunk in speech]) == "one two"
        async with fleet_of(worker.address, WorkerTls(ours.ca)) as without:
            await told(without, "it was started with --tls-ca it wants a certificate")
        stranger = Papers(ours.ca.parent, "stranger").issue("client.example")
        async with fleet_of(worker.address, WorkerTls(ours.ca, *stranger)) as wrong:
            await told(wrong, "its --tls-ca may not be that of --worker-cert")
        async with fleet_of(worker.address, None) as plain:
            await told(plain, "if it speaks TLS, give --worker-ca")


async def told(fleet: Fleet, reason: str) -> None:
    """In the log and on the connection, long before the start gives up."""
    with capture_logs() as log:
        starting = asyncio.create_task(fleet.start())
        async with asyncio.timeout(TOLD_WITHIN_S):
            while not any(reason in connection.trouble for connection in fleet.connections):
                await fleet.changed()
        assert any(reason in str(entry.get("reason")) for entry in log if entry["log_level"] == "warning")
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


@pytest.mark.parametrize(
    ("name", "trusted", "reason"),
    [
        ("127.0.0.1", "stranger", "not signed by an authority that --worker-ca names"),
        ("elsewhere.example", "ours", "its certificate is not for this address"),
        ("", "ours", "it speaks no TLS"),
    ],
)
async def test_what_time_does_not_mend_ends_the_start_at_once(
    ours: Papers, name: str, trusted: str, reason: str
) -> None:
    stranger = Papers(ours.ca.parent, "stranger")
    ca = (ours if trusted == "ours" else stranger).ca
    options = serving(ours, name) if name else ("tts", "--models", "scripted")
    async with worker_process(*options) as worker, fleet_of(worker.address, WorkerTls(ca)) as fleet:
        with pytest.raises(EngineError, match=reason):
            await asyncio.wait_for(fleet.start(), TOLD_WITHIN_S)


@pytest.mark.parametrize(
    ("valid", "reason"),
    [
        ((LONG_AGO, LONG_AGO + DAY), "has expired: start it with a new one"),
        ((datetime.now(UTC) + DAY, None), "is not valid yet"),
    ],
)
async def test_a_certificate_that_is_out_of_its_time_is_not_called_a_stranger_s(
    ours: Papers, valid: Span, reason: str
) -> None:
    async with (
        worker_process(*serving(ours, "127.0.0.1", valid=valid)) as worker,
        fleet_of(worker.address, WorkerTls(ours.ca)) as fleet,
    ):
        with pytest.raises(EngineError, match=f"its certificate {reason}"):
            await asyncio.wait_for(fleet.start(), TOLD_WITHIN_S)


async def test_a_server_reaches_others_by_tls_and_its_own_without_and_says_who_cannot_be_reached(ours: Papers) -> None:
    stranger = Papers(ours.ca.parent, "stranger")
    async with (
        worker_process(*serving(ours, "127.0.0.1")) as good,
        worker_process(*serving(stranger, "127.0.0.1")) as bad,
    ):
        engines = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=4"}
        workers = [f"tts={good.address}", f"tts={bad.address}"]
        config = Config.model_validate({"port": 0, **engines, "workers": workers, "worker_ca": ours.ca})
        async with (
            Server(config) as server,
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{server.url}/v1/realtime") as call,
        ):
            await call.send_json({"type": "response.create"})
            while (event := await call.receive_json(timeout=WAIT_S))["type"] != "response.done":
                pass
            assert event["response"]["status"] == "completed"
            fleet = server.suite.synthesizer.fleet  # type: ignore[attr-defined]
            (refused,) = (each for each in fleet.connections if each.address == bad.address)
            async with asyncio.timeout(TOLD_WITHIN_S):
                while not refused.trouble:
                    await fleet.changed()
            async with http.get(f"{server.url}/health") as answer:
                found = {worker["name"]: worker for worker in (await answer.json())["workers"]}
            assert "error" not in found[good.address]
            assert found[bad.address]["state"] == "down"
            assert "--worker-ca" in found[bad.address]["error"]


@pytest.mark.parametrize("option", ["--worker-ca", "--worker-cert", "--worker-key"])
def test_files_of_no_use_are_told(ours: Papers, tmp_path: Path, option: str) -> None:
    field = option.removeprefix("--worker-")
    good = WorkerTls(ours.ca, *ours.issue("client.example"))
    assert good.credentials() is not None
    empty = tmp_path / "empty.pem"
    empty.touch()
    with pytest.raises(ConfigError, match=f"{option} .*No such file"):
        replace(good, **{field: tmp_path / "none.pem"}).credentials()
    with pytest.raises(ConfigError, match=f"{option} .*there is no"):
        replace(good, **{field: empty}).credentials()


def test_other_troubles_are_told_in_their_own_words() -> None:
    details = "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Connection refused"
    assert trouble_of(details, None).reason == "UNKNOWN: ipv4:127.0.0.1:1: Connection refused"
    assert not trouble_of(details, WorkerTls()).lasting


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"worker_cert": "x", "workers": ["a:1"]}, "needs both --worker-cert and --worker-key"),
        ({"worker_ca": "x"}, "give --workers or --registry"),
    ],
)
def test_settings_that_contradict_themselves_are_told(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Config.model_validate(settings)
