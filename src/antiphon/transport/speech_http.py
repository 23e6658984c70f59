"""Speech without a conversation: ``/v1/audio/speech`` and ``/v1/audio/transcriptions``, in the shapes of OpenAI's."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from antiphon.errors import EngineError
from antiphon.transport.hangup import GoneError
from antiphon.transport.limits import SpeechLimits
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.responses import error_response, json_response
from antiphon.transport.spoken_answers import Speaking, SpokenAnswers
from antiphon.transport.written_answers import Transcribing, WrittenAnswers

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SpeechRoutes:
    """The two endpoints over a synthesizer and a recognizer."""

    def __init__(
        self,
        synthesizer: Speaking,
        recognizer: Transcribing,
        offer: Callable[[], Offer],
        limits: SpeechLimits | None = None,
    ) -> None:
        self._offer = offer
        self._limits = limits or SpeechLimits()
        self._spoken = SpokenAnswers(synthesizer, offer, self._limits)
        self._written = WrittenAnswers(recognizer, self._limits)
        self.active = 0
        """Requests that are being served."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/audio/speech", self._guarded(self._spoken.answer)),
            web.post("/v1/audio/transcriptions", self._guarded(self._written.answer)),
            web.get("/v1/audio/voices", self.voices),
        ]

    def _guarded(self, handler: _Handler) -> _Handler:
        """With a place for each request, and the engines' errors as answers."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if self.active >= self._limits.max_requests:
                return _busy("All places for speech requests are taken; try again shortly", 1.0)
            with self._place():
                try:
                    return await handler(request)
                except EngineError as error:
                    if error.retryable:
                        return _busy(str(error), error.retry_after_s or 1.0)
                    return error_response(500, str(error), "engine_failed")
                except (GoneError, ConnectionError):
                    return web.Response(status=499)  # to nobody; 499 as nginx logs it

        return guarded

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def voices(self, request: web.Request) -> web.Response:
        """The voices that there are, the default first, each with the language that it speaks."""
        offered = [{"id": name, "language": self._spoken.language(name)} for name in self._offer().voices]
        return json_response({"object": "list", "data": offered})


def _busy(message: str, retry_after_s: float) -> web.Response:
    headers = {"Retry-After": str(math.ceil(retry_after_s))}
    return error_response(503, message, "server_is_busy", headers=headers)
