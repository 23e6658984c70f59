"""What clients know calls, sessions and their own way back by."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from antiphon.core.carriers import Mark
from antiphon.ids import IdSource

_TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Names:
    """Mints names that tell to which process they belong, where a server has several."""

    mark: Mark | None = None

    def session(self, ids: IdSource) -> str:
        session = ids.session()
        return session if self.mark is None else self.mark.before("sess_") + session.removeprefix("sess_")

    def call(self) -> str:
        return (self.mark.before("rtc_") if self.mark is not None else "rtc_") + secrets.token_hex(16)

    def token(self) -> str:
        """Who has it may come back to a session."""
        return (self.mark.on_token if self.mark is not None else "") + secrets.token_urlsafe(_TOKEN_BYTES)
