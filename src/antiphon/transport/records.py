"""The records of sessions, for the clients whose sessions they are."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from antiphon.session.shelf import Shelf, Ticket
from antiphon.transport.responses import error_response

RECORD_PATH = "/v1/realtime/sessions/{session_id}/record"
CONTENT_TYPE = "application/x-ndjson"


def record_fields(ticket: Ticket) -> dict[str, Any]:
    """What the client is told; the address is below the server's own."""
    url = f"{RECORD_PATH.format(session_id=ticket.session_id)}?token={ticket.token}"
    return {"session_id": ticket.session_id, "url": url, "kept_s": ticket.kept_s}


class Records:
    """Implements ``GET /v1/realtime/sessions/{session_id}/record``."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def route(self) -> web.RouteDef:
        return web.get(RECORD_PATH, self.get)

    def admits(self, request: web.Request) -> bool:
        """Whether the request shows the token of the record that it asks for."""
        session_id, token = request.match_info.get("session_id"), request.query.get("token")
        return session_id is not None and token is not None and self._shelf.opened_by(session_id, token)

    async def get(self, request: web.Request) -> web.StreamResponse:
        session_id = request.match_info["session_id"]
        path = await self._shelf.file(session_id)
        if path is None:
            message = f"There is no record of session {session_id}, or no longer: connect with record=1 to have one"
            return error_response(404, message, "record_not_found", param="session_id")
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Content-Disposition": f'attachment; filename="antiphon-{path.stem}.jsonl"',
            "Cache-Control": "no-store",
        }
        return web.FileResponse(path, headers=headers)
