"""Asks a running server, about its models or what else it has."""

from __future__ import annotations

from typing import Any

import aiohttp

from antiphon.apps.unreached import trouble
from antiphon.errors import AntiphonError

DEFAULT_URL = "http://127.0.0.1:8080"
_PATH = "/v1/antiphon/models"
LIST_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
_CHANGE_TIMEOUT = aiohttp.ClientTimeout(total=600, sock_connect=3)
"""Loading a large model takes minutes."""


class ServerError(AntiphonError):
    """The server cannot be reached, or refuses. ``reached`` tells the one from the other."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached


async def places(url: str, api_key: str | None) -> list[dict[str, Any]]:
    """The models at every place. Raises ServerError."""
    return list((await ask("GET", url, _PATH, api_key, None, LIST_TIMEOUT))["data"])


async def change(url: str, api_key: str | None, verb: str, body: dict[str, str]) -> list[dict[str, Any]]:
    """``load``, ``unload``, ``swap`` or ``reload``; returns the models as they are then. Raises ServerError."""
    return list((await ask("POST", url, f"{_PATH}/{verb}", api_key, body, _CHANGE_TIMEOUT))["data"])


async def ask(
    method: str, url: str, path: str, api_key: str | None, body: dict[str, str] | None, timeout: aiohttp.ClientTimeout
) -> dict[str, Any]:
    """What a running server answers. Raises ServerError."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, headers=headers) as client,
            client.request(method, url.rstrip("/") + path, json=body) as answer,
        ):
            told = await answer.json(content_type=None)
            status = answer.status
    except (aiohttp.ClientError, aiohttp.InvalidURL, TimeoutError, ValueError) as error:
        raise ServerError(trouble(url, error), reached=False) from error
    if status != 200:
        message = told.get("error", {}).get("message") if isinstance(told, dict) else None
        raise ServerError(f"{url}: {message or status}", reached=True)
    return dict(told)
