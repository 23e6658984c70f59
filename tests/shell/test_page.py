"""The page's files over HTTP, and what a browser is told about them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from antiphon.core.settings import SessionSettings
from antiphon.transport.base import Outlet
from antiphon.transport.http import make_app
from antiphon.transport.page import Page, page_folder


def no_session(outlet: Outlet, settings: SessionSettings, session_id: str) -> Any:
    raise AssertionError("the page needs no session")


@asynccontextmanager
async def browser(folder: Path | None = None) -> AsyncIterator[aiohttp.ClientSession]:
    """Of somebody who has no key."""
    page = Page(folder or page_folder())
    app = make_app(no_session, api_keys=["sk-secret"], free_routes=page.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}") as session:
            yield session
    finally:
        await runner.cleanup()


async def test_the_page_comes_without_a_key() -> None:
    async with browser() as http:
        async with http.get("/") as response:
            assert response.status == 200
            assert response.content_type == "text/html"
            assert "<title>Antiphon</title>" in await response.text()
        async with http.get("/v1/models") as response:
            assert response.status == 401


async def test_every_file_that_the_page_names_is_there() -> None:
    folder = page_folder()
    named = set(re.findall(r'(?:href|src)="(page/[^"]+)"', (folder / "index.html").read_text()))
    assert {"page/app.js", "page/style/base.css"} <= named
    imported = {
        (module.parent / name).resolve().relative_to(folder.resolve()).as_posix()
        for module in folder.rglob("*.js")
        for name in re.findall(r'(?:from |new URL\()"(?:\./)?([^"]+\.js)"', module.read_text())
    }
    assert "audio/capture-worklet.js" in imported
    async with browser() as http:
        for path in sorted(named | {f"page/{name}" for name in imported}):
            async with http.get(f"/{path}") as response:
                assert response.status == 200, path
                kind = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}[Path(path).suffix]
                assert response.content_type == kind


async def test_nothing_may_come_from_elsewhere() -> None:
    async with browser() as http, http.get("/page/app.js") as response:
        policy = response.headers["Content-Security-Policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in response.headers["Content-Security-Policy"]
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    async with browser() as http:
        async with http.get("/page/app.js") as response:
            assert response.headers["Cache-Control"] == "no-cache"
            etag = response.headers["ETag"]
        async with http.get("/page/app.js", headers={"If-None-Match": f'"other", {etag}'}) as response:
            assert response.status == 304
            assert response.headers["ETag"] == etag
            assert await response.read() == b""
        async with http.get("/page/app.js", headers={"If-None-Match": '"other"'}) as response:
            assert response.status == 200


@pytest.mark.parametrize("path", ["/page/../pyproject.toml", "/page/%2e%2e/pyproject.toml", "/page/none.js", "/page/"])
async def test_there_is_nothing_else(path: str) -> None:
    async with browser() as http, http.get(path) as response:
        assert response.status in (401, 404)


async def test_only_files_of_a_page_are_served(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "notes.txt").write_text("not for you")
    (tmp_path / "app.js").write_text("")
    async with browser(tmp_path) as http:
        async with http.get("/page/app.js") as response:
            assert response.status == 200
        async with http.get("/page/notes.txt") as response:
            assert response.status == 401


def test_a_page_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"index\.html"):
        Page(tmp_path)
