"""Models are pulled from a server that speaks the hub's protocol, with all that can go wrong on the way."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from aiohttp import web

from antiphon.apps.models import command
from antiphon.apps.models.download import RETRIES, DownloadError
from antiphon.apps.models.manifest import MODELS, File, Model, find_model
from antiphon.apps.models.store import RECORD, kept_models, pull
from antiphon.engines.model_files import model_folder, models_folder
from antiphon.errors import ConfigError, EngineError

COMMIT = "c0ffee" * 6 + "abcd"
VOICE = "piper:en_US-amy-medium"
FOLDER = "en/en_US/amy/medium"
WEIGHTS = bytes(range(256)) * 12_000
CONFIG = b'{"sample_rate": 22050}'


async def start(*routes: web.RouteDef) -> tuple[web.AppRunner, str]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


class Hub:
    """A hub for metadata and small files, and another server, of another origin, for large ones."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {
            f"{FOLDER}/en_US-amy-medium.onnx": WEIGHTS,
            f"{FOLDER}/en_US-amy-medium.onnx.json": CONFIG,
            f"{FOLDER}/MODEL_CARD": b"A voice.",
        }
        self.requests: list[tuple[str, str, str]] = []
        """Method, path, and the range that was asked for."""
        self.keys_at_store: list[str | None] = []
        self.drops: list[int] = []
        """After so many bytes the next downloads break off."""
        self.tampered = False
        self.ranges = True
        self.token: str | None = None
        self.moved_to: str | None = None
        self.failures = 0
        """So many requests are answered 503."""
        self.store_url = ""
        self.url = ""

    async def meta(self, request: web.Request) -> web.StreamResponse:
        repository, path = request.match_info["repository"], request.match_info["path"]
        self.requests.append((request.method, path, request.headers.get("Range", "")))
        if self.failures:
            self.failures -= 1
            return web.Response(status=503)
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401, headers={"X-Error-Message": "Access to this model is restricted"})
        if self.moved_to is not None and repository != self.moved_to:
            raise web.HTTPTemporaryRedirect(f"/rhasspy/{self.moved_to}/resolve/v1.0.0/{path}")
        content = self.files.get(path)
        if content is None:
            return web.Response(status=404)
        if len(content) < 1000:
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            return web.Response(body=content, headers={"ETag": f'"{blob}"', "X-Repo-Commit": COMMIT})
        return web.Response(
            status=302,
            headers={
                "Location": f"{self.store_url}/{path}",
                "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                "X-Linked-Size": str(len(content)),
                "X-Repo-Commit": COMMIT,
            },
        )

    async def content(self, request: web.Request) -> web.StreamResponse:
        wanted = request.headers.get("Range", "")
        self.requests.append(("STORE", request.match_info["path"], wanted))
        self.keys_at_store.append(request.headers.get("Authorization"))
        content = self.files[request.match_info["path"]]
        if self.tampered:
            content = content[:-1] + b"!"
        start_at = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        response = web.StreamResponse(status=206 if start_at else 200)
        response.content_length = len(content) - start_at
        if start_at:
            response.headers["Content-Range"] = f"bytes {start_at}-{len(content) - 1}/{len(content)}"
        await response.prepare(request)
        if self.drops:
            await response.write(content[start_at : start_at + self.drops.pop(0)])
            assert request.transport is not None
            request.transport.close()
            return response
        await response.write(content[start_at:])
        return response

    def at_store(self) -> list[str]:
        return [wanted for method, _, wanted in self.requests if method == "STORE"]


@pytest.fixture
async def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Hub]:
    hub = Hub()
    store, hub.store_url = await start(web.get("/{path:.+}", hub.content))
    pattern = "/rhasspy/{repository}/resolve/v1.0.0/{path:.+}"
    front, hub.url = await start(web.get(pattern, hub.meta))
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    monkeypatch.setenv("ANTIPHON_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield hub
    await front.cleanup()
    await store.cleanup()


async def get(*, again: bool = False) -> Path | None:
    return await pull(find_model(VOICE), again=again, backoff_s=0.0)


async def test_a_model_is_pulled_whole_and_recorded(hub: Hub) -> None:
    seen: list[tuple[str, int, int | None]] = []
    folder = await pull(find_model(VOICE), progress=lambda *step: seen.append(step))
    assert folder == model_folder("piper", "en_US-amy-medium")
    assert (folder / "en_US-amy-medium.onnx").read_bytes() == WEIGHTS
    assert (folder / "en_US-amy-medium.onnx.json").read_bytes() == CONFIG
    record = orjson.loads((folder / RECORD).read_bytes())
    assert record["commit"] == COMMIT
    assert record["sha256"]["en_US-amy-medium.onnx"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert seen[0] == ("en_US-amy-medium.onnx", 0, len(WEIGHTS))
    assert ("en_US-amy-medium.onnx", len(WEIGHTS), len(WEIGHTS)) in seen
    assert [path.name for path in folder.parent.iterdir()] == ["en_US-amy-medium"]
    (kept,) = kept_models()
    assert kept.name == VOICE
    assert kept.size_bytes > len(WEIGHTS)


async def test_what_is_there_is_not_pulled_again_unless_asked(hub: Hub) -> None:
    folder = await get()
    assert folder is not None
    hub.requests.clear()
    assert await get() is None
    assert not hub.requests
    (folder / "en_US-amy-medium.onnx").write_bytes(b"spoilt")
    assert await get(again=True) == folder
    assert (folder / "en_US-amy-medium.onnx").read_bytes() == WEIGHTS


async def test_a_download_that_breaks_off_goes_on_from_there(hub: Hub) -> None:
    hub.drops = [1_000_000, 700_000]
    folder = await get()
    assert folder is not None
    assert (folder / "en_US-amy-medium.onnx").read_bytes() == WEIGHTS
    first, *resumed = hub.at_store()
    assert first == ""
    assert len(resumed) == 2
    assert all(wanted.startswith("bytes=") for wanted in resumed)


async def test_a_later_pull_takes_up_what_an_earlier_one_got(hub: Hub) -> None:
    hub.drops = [1_000_000, *([0] * (RETRIES + 1))]
    with pytest.raises(DownloadError, match="run it again to go on"):
        await get()
    with pytest.raises(EngineError, match="antiphon models pull piper:en_US-amy-medium"):
        model_folder("piper", "en_US-amy-medium")
    assert kept_models() == []
    hub.drops.clear()
    hub.requests.clear()
    await get()
    assert len(hub.at_store()) == 1
    assert int(hub.at_store()[0].removeprefix("bytes=").removesuffix("-")) > 0


async def test_files_that_came_are_kept_when_a_later_one_does_not(hub: Hub) -> None:
    card = hub.files.pop(f"{FOLDER}/MODEL_CARD")
    with pytest.raises(DownloadError, match="MODEL_CARD is not there"):
        await get()
    hub.files[f"{FOLDER}/MODEL_CARD"] = card
    hub.requests.clear()
    assert await get() is not None
    assert not hub.at_store()


async def test_a_part_of_another_version_is_not_taken_up(hub: Hub) -> None:
    hub.drops = [1_000_000, *([0] * (RETRIES + 1))]
    with pytest.raises(DownloadError):
        await get()
    hub.drops.clear()
    newer = hub.files[f"{FOLDER}/en_US-amy-medium.onnx"] = WEIGHTS[::-1]
    folder = await get()
    assert folder is not None
    assert (folder / "en_US-amy-medium.onnx").read_bytes() == newer
    assert not list(folder.glob("*.part"))


async def test_a_server_without_ranges_sends_all_again(hub: Hub) -> None:
    hub.ranges = False
    hub.drops = [1_000_000]
    folder = await get()
    assert folder is not None
    assert (folder / "en_US-amy-medium.onnx").read_bytes() == WEIGHTS


async def test_a_wrong_checksum_is_thrown_away(hub: Hub) -> None:
    hub.tampered = True
    with pytest.raises(DownloadError, match=f"should be {hashlib.sha256(WEIGHTS).hexdigest()}"):
        await get()
    assert not [path for path in models_folder().rglob("*") if path.is_file()]


async def test_the_manifests_own_checksum_counts_too(hub: Hub) -> None:
    path = f"{FOLDER}/en_US-amy-medium.onnx"
    model = Model("piper:x", "", "hub:rhasspy/piper-voices@v1.0.0", (File(path, "x.onnx", "0" * 64),), "", 1)
    with pytest.raises(DownloadError, match="should be 0000"):
        await pull(model)


async def test_what_is_known_of_a_file_is_not_asked_for(hub: Hub) -> None:
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    file = File(f"{FOLDER}/en_US-amy-medium.onnx", "x.onnx", digest, len(WEIGHTS))
    folder = await pull(Model("piper:x", "", hub.store_url, (file,), "", 1))
    assert folder is not None
    assert (folder / "x.onnx").read_bytes() == WEIGHTS
    assert [method for method, _, _ in hub.requests] == ["STORE"]


async def test_small_files_are_checked_by_gits_own_digest(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = hub.meta

    async def lying(request: web.Request) -> web.StreamResponse:
        response = await meta(request)
        if request.method == "HEAD" and "ETag" in response.headers:
            response.headers["ETag"] = f'"{"0" * 40}"'
        return response

    front, url = await start(web.get("/rhasspy/{repository}/resolve/v1.0.0/{path:.+}", lying))
    monkeypatch.setenv("HF_ENDPOINT", url)
    with pytest.raises(DownloadError, match=r"onnx.json was thrown away"):
        await get()
    await front.cleanup()


async def test_a_key_goes_to_the_hub_and_no_further(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    with pytest.raises(DownloadError, match=r"restricted.*HF_TOKEN"):
        await get()
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert await get() is not None
    assert hub.keys_at_store == [None]


async def test_a_repository_that_moved_is_followed(hub: Hub) -> None:
    hub.moved_to = "voices-of-piper"
    folder = await get()
    assert folder is not None
    assert (folder / "en_US-amy-medium.onnx").read_bytes() == WEIGHTS


async def test_a_hub_that_is_busy_is_asked_again(hub: Hub) -> None:
    hub.failures = 3
    assert await get() is not None
    hub.failures = 100
    with pytest.raises(DownloadError, match="answered 503"):
        await get(again=True)


async def test_a_hub_that_is_not_there(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(DownloadError, match="cannot be reached"):
        await get()


async def test_the_command_shows_the_folder_and_the_licence(hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    assert await command.pull([VOICE], again=False) == 0
    shown = capsys.readouterr()
    assert shown.out.strip() == str(model_folder("piper", "en_US-amy-medium"))
    assert "licence: MIT" in shown.err
    assert await command.pull([VOICE], again=False) == 0
    assert "already" in capsys.readouterr().err


# The manifest.


def test_every_model_has_a_source_files_and_a_licence() -> None:
    for name, model in MODELS.items():
        assert model.name == name
        assert model.source.startswith(("hub:", "https://"))
        assert model.files
        assert model.licence
        assert all(file.sha256 is None or len(file.sha256) == 64 for file in model.files)


def test_any_voice_of_piper_can_be_pulled() -> None:
    model = find_model("piper:fr_FR-siwis-low")
    assert [file.path for file in model.files] == [
        "fr/fr_FR/siwis/low/fr_FR-siwis-low.onnx",
        "fr/fr_FR/siwis/low/fr_FR-siwis-low.onnx.json",
        "fr/fr_FR/siwis/low/MODEL_CARD",
    ]


@pytest.mark.parametrize("name", ["", "kokoro", "piper:amy", "piper:../../etc-x-low", "piper:en_US-amy-huge", "x:y"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="there is no model"):
        find_model(name)
