"""HTTP responses in the shapes that OpenAI's clients read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web


def error_response(
    status: int,
    message: str,
    code: str | None = None,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error in the shape that OpenAI's clients read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return json_response(
        {"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status, headers=headers
    )


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


RETRY_AFTER_S = 5


def full_response(message: str) -> web.Response:
    return error_response(503, message, "server_is_full", headers={"Retry-After": str(RETRY_AFTER_S)})


def no_conversation() -> web.Response:
    message = "There is no such conversation on this server, or no longer (it keeps them only with --sessions FILE)"
    return error_response(404, message, "conversation_not_found", param="conversation")


def key_response() -> web.Response:
    return error_response(
        401,
        "Missing or incorrect API key: send it as 'Authorization: Bearer KEY'",
        "invalid_api_key",
        headers={"WWW-Authenticate": "Bearer"},
    )
