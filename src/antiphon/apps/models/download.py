"""Downloads one file: checked, resumed where it broke off, and under its name only when it is whole.

The hub's protocol, as https://huggingface.co/docs/huggingface_hub describes it: the answer to a HEAD of
``/OWNER/REPOSITORY/resolve/REVISION/FILE`` names the file's size and digest (``X-Linked-Size``, ``X-Linked-Etag``:
SHA-256) before it redirects to where the content is; for small files the ETag is git's own, the SHA-1 of a blob.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

import aiohttp

from antiphon.apps.unreached import reason
from antiphon.errors import AntiphonError

CHUNK_BYTES = 1 << 20
RETRIES = 5
"""So often in a row, without a byte coming, a download that breaks off is taken up again."""

_BACKOFF_S = 1.0
_HOPS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHA1 = re.compile(r"[0-9a-f]{40}")

T = TypeVar("T")

Progress = Callable[[int, int | None], None]
"""Given the bytes that are there and those that there will be."""


class DownloadError(AntiphonError):
    """A file could not be had. The message says what to do."""


class _BrokenOffError(Exception):
    """The connection ended early: worth another try."""


@dataclass(frozen=True, slots=True)
class Remote:
    """What the server says of a file before it is downloaded."""

    size_bytes: int | None = None
    etag: str = ""
    commit: str | None = None


def headers_for(token: str | None) -> dict[str, str]:
    return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {})


async def look_up(client: aiohttp.ClientSession, url: str, token: str | None = None) -> Remote:
    """Asks for a file's size and digest. Raises DownloadError."""
    at = url
    for _ in range(_HOPS):
        try:
            async with client.head(at, headers=headers_for(token), allow_redirects=False, timeout=_TIMEOUT) as answer:
                _check_status(answer, url)
                found = answer.headers
                moved = answer.status in _REDIRECTS
        except (aiohttp.ClientError, TimeoutError) as error:
            elsewhere = "try again later, or name a mirror in HF_ENDPOINT"
            raise DownloadError(f"{_host(at)} cannot be reached ({reason(error)}); {elsewhere}") from error
        linked = "X-Linked-Etag" in found
        if moved and not linked:
            # Renamed repositories, and servers that keep their files elsewhere.
            onward = urljoin(at, found.get("Location", ""))
            token = token if urlsplit(onward).netloc == urlsplit(at).netloc else None
            at = onward
            continue
        size = found.get("X-Linked-Size") or (None if moved else found.get("Content-Length"))
        etag = found.get("X-Linked-Etag") or found.get("ETag") or ""
        return Remote(int(size) if size else None, _bare(etag), found.get("X-Repo-Commit"))
    raise DownloadError(f"{url} redirects in circles")


def _bare(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _check_status(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status in (401, 403):
        reason = answer.headers.get("X-Error-Message") or "it asks for a key"
        raise DownloadError(f"{url} is not open to everybody ({reason}): accept its terms there and set HF_TOKEN")
    if answer.status == 404:
        raise DownloadError(f"{url} is not there: its source has moved or renamed it")
    if answer.status == 429 or answer.status >= 500:
        raise _BrokenOffError(f"{_host(url)} answered {answer.status}")
    if answer.status >= 400 and answer.status != 416:
        raise DownloadError(f"{_host(url)} answered {answer.status} {answer.reason} to {url}")


class Download:
    """Of one file, to ``target``. What has come stays beside it as ``.part`` until it is whole."""

    def __init__(
        self,
        client: aiohttp.ClientSession,
        url: str,
        target: Path,
        *,
        sha256: str | None = None,
        size_bytes: int | None = None,
        token: str | None = None,
        progress: Progress = lambda done, total: None,
        backoff_s: float = _BACKOFF_S,
    ) -> None:
        self._client = client
        self._url = url
        self._target = target
        self._sha256 = sha256
        self._size_bytes = size_bytes
        self._token = token
        self._progress = progress
        self._backoff_s = backoff_s
        self.remote = Remote()

    async def run(self) -> str:
        """Returns the file's SHA-256. Raises DownloadError, after which what has come may be resumed by another."""
        self._target.parent.mkdir(parents=True, exist_ok=True)
        if self._sha256 is None or self._size_bytes is None:
            self.remote = await self._patiently(lambda: look_up(self._client, self._url, self._token))
            self._size_bytes = self._size_bytes or self.remote.size_bytes
        # A part of another version of the file is not taken up.
        mark = hashlib.sha256((self.remote.etag or self._sha256 or self._url).encode()).hexdigest()[:12]
        part = self._target.with_name(f"{self._target.name}.{mark}.part")
        if self._target.exists():
            self._target.replace(part)  # of a pull whose later files did not come
        await self._patiently(lambda: self._fetch(part), lambda: _size(part))
        digest = await asyncio.to_thread(self._verify, part)
        part.replace(self._target)
        return digest

    async def _patiently(self, work: Callable[[], Awaitable[T]], done: Callable[[], int] = lambda: 0) -> T:
        """Tries again what broke off, for as long as something comes of it."""
        failures, before = 0, done()
        while True:
            try:
                return await work()
            except _BrokenOffError as error:
                failures, before = (1 if done() > before else failures + 1), done()
                if failures > RETRIES:
                    raise DownloadError(
                        f"the download of {self._url} broke off ({error}); run it again to go on"
                    ) from error
            await asyncio.sleep(self._backoff_s * 2 ** (failures - 1))

    async def _fetch(self, part: Path) -> None:
        """Gets what is missing of ``part``."""
        have = _size(part)
        if self._size_bytes is not None and have >= self._size_bytes:
            if have > self._size_bytes:
                _forget(part)
                raise _BrokenOffError("more came than there is")
            return
        headers = headers_for(self._token) | ({"Range": f"bytes={have}-"} if have else {})
        try:
            async with self._client.get(self._url, headers=headers, timeout=_TIMEOUT) as answer:
                _check_status(answer, self._url)
                if answer.status == 416:
                    _forget(part)
                    raise _BrokenOffError("the server does not have the rest")
                resumed = answer.status == 206
                if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                    _forget(part)
                    raise _BrokenOffError("the server sent another part than the one that is missing")
                await self._write(answer, part, have if resumed else 0)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _BrokenOffError(str(error) or "no answer") from error
        if self._size_bytes is not None and _size(part) < self._size_bytes:
            raise _BrokenOffError("the connection ended early")

    async def _write(self, answer: aiohttp.ClientResponse, part: Path, have: int) -> None:
        self._progress(have, self._size_bytes)
        with part.open("ab" if have else "wb") as file:
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                await asyncio.to_thread(file.write, chunk)
                have += len(chunk)
                self._progress(have, self._size_bytes)

    def _verify(self, part: Path) -> str:
        """The SHA-256 of what came. Raises DownloadError when any known digest is another; then nothing is kept."""
        sha256, blob = hashlib.sha256(), hashlib.sha1(f"blob {_size(part)}\0".encode(), usedforsecurity=False)
        with part.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                sha256.update(chunk)
                blob.update(chunk)
        found = sha256.hexdigest()
        pairs = ((self._sha256, found), (self._etag(_SHA256), found), (self._etag(_SHA1), blob.hexdigest()))
        for expected, got in pairs:
            if expected is not None and expected != got:
                part.unlink()
                raise DownloadError(f"{self._url} was thrown away: its checksum is {got} and should be {expected}")
        return found

    def _etag(self, form: re.Pattern[str]) -> str | None:
        return self.remote.etag if form.fullmatch(self.remote.etag) else None


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
