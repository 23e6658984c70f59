"""Short-lived keys that a server gives to its browsers, each with the session it is good for."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from antiphon.errors import ProtocolError
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.fields import Json

PREFIX = "ek_"
_DEFAULT_LIFE_S = 600
_SHORTEST_S, _LONGEST_S = 10, 7200
_CAPACITY = 1000


@dataclass(frozen=True, slots=True)
class ClientSecret:
    value: str
    expires_at: int
    """Seconds of the wall clock."""
    session: Json
    """What the session starts from."""


class SecretStore:
    """The keys that are valid now, at most 1000. The keys themselves are not kept, only their hashes."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._valid: dict[bytes, tuple[int, Json]] = {}

    def issue(self, request: Json) -> ClientSecret:
        """Makes a key as a ``client_secrets`` request asks for it. Raises ProtocolError."""
        expires = fields.mapping(request.get("expires_after") or {}, "expires_after")
        life_s = fields.whole(expires, "seconds", _DEFAULT_LIFE_S, "expires_after.seconds")
        if not _SHORTEST_S <= life_s <= _LONGEST_S:
            raise fields.invalid("expires_after.seconds", f"{_SHORTEST_S} to {_LONGEST_S}")
        session = fields.mapping(request.get("session") or {}, "session")
        self._forget_expired()
        if len(self._valid) >= _CAPACITY:
            raise ProtocolError("Too many client secrets are valid; try again later", code="rate_limit_exceeded")
        secret = ClientSecret(PREFIX + secrets.token_hex(16), int(self._now()) + life_s, session)
        self._valid[_digest(secret.value)] = (secret.expires_at, session)
        return secret

    def session_of(self, value: str) -> Json | None:
        """The session that a key is good for; None when it is not valid, or no longer."""
        entry = self._valid.get(_digest(value))
        return entry[1] if entry is not None and entry[0] > self._now() else None

    def _forget_expired(self) -> None:
        now = self._now()
        for digest in [digest for digest, (expires_at, _) in self._valid.items() if expires_at <= now]:
            del self._valid[digest]


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
