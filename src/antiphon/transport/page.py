"""The page: the files of ``web/``, as a browser wants them, to everybody and without a key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

ROOT = "/"
FOLDER = "/page/"
"""Where the page's files are, but for the first."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
}

_HEADERS = {
    # A browser keeps the files and asks each time whether they are still the same: an update is seen at once.
    "Cache-Control": "no-cache",
    # Nothing from anywhere else, and nothing written into the page itself.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "media-src 'self' blob:",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), speaker-selection=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    content_type: str
    etag: str


class Page:
    """All files of the page, read once. Raises OSError when they are not there."""

    def __init__(self, folder: Path) -> None:
        """``folder`` holds ``index.html``, which is served at ``/``; what lies beside and below it at ``/page/``."""
        self._first = _read(folder / "index.html")
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in _TYPES
        }

    def routes(self) -> list[web.RouteDef]:
        files = [web.get(FOLDER + name, self._answer) for name in self._files]
        return [web.get(ROOT, self._answer), *files]

    async def _answer(self, request: web.Request) -> web.Response:
        name = request.path.removeprefix(FOLDER)
        file = self._first if request.path == ROOT else self._files[name]
        headers = {**_HEADERS, "ETag": file.etag}
        # Of a list of tags, or "*", each is compared as it is: a weak one of ours does not exist.
        if file.etag in (tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")):
            return web.Response(status=304, headers=headers)
        return web.Response(body=file.body, headers={**headers, "Content-Type": file.content_type})


def _read(path: Path) -> _File:
    body = path.read_bytes()
    return _File(body, _TYPES[path.suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def page_folder() -> Path:
    """Where the page is: in an installed package beside the code, in a working copy at its root."""
    package = Path(__file__).parents[1]
    installed = package / "web"
    return installed if installed.is_dir() else package.parents[1] / "web"
