"""What is said in a room, as LiveKit's own clients show it: text streams of the topic ``lk.transcription``.

The agent's words go into one stream for each item, as they are heard; the user's are told anew with each guess, the
last time for good. https://docs.livekit.io/agents/build/text/ has the topic and its attributes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.livekit.sdk import LocalParticipant, Sdk, TextWriter

TOPIC = "lk.transcription"
SEGMENT = "lk.segment_id"
FINAL = "lk.transcription_final"
TRACK = "lk.transcribed_track_id"

_OF_USER = "conversation.item.input_audio_transcription."
_OF_AGENT = ("response.output_audio_transcript.", "response.output_text.")
_HEEDED = tuple(f'{{"type":"{kind}'.encode() for kind in (_OF_USER, *_OF_AGENT, "response.created", "response.done"))

Speaker = tuple[str, str]
"""A participant's identity and the id of its track."""

_log = structlog.get_logger(__name__)


class CaptionLine:
    """Implements ``transport.line.Line``: reads the events of a session, and sends nothing back."""

    def __init__(
        self, sdk: Sdk, me: LocalParticipant, agent: Speaker, user: Callable[[], Speaker | None], limits: Limits
    ) -> None:
        """``user`` says who is heard at the moment."""
        self._failures: tuple[type[Exception], ...] = (TimeoutError, *sdk.failures)
        self._me = me
        self._agent = agent
        self._user = user
        self._close_timeout_s = limits.close_timeout_s
        self._speaking: tuple[str, TextWriter] | None = None
        """The agent's item that is open, and its stream."""
        self._guess = ("", "")
        """The user's item of which words came last, and those."""
        self._aside: set[str] = set()
        """Responses beside the conversation: nobody hears those."""
        self._closed = asyncio.Event()

    async def receive(self) -> Received | None:
        await self._closed.wait()
        return None

    async def send(self, data: bytes) -> None:
        if not data.startswith(_HEEDED):
            return
        try:
            await self._tell(orjson.loads(data))
        except self._failures as failure:
            self._speaking = None  # its stream is lost; the next item gets another
            _log.debug("a caption was not sent", error=str(failure))

    async def _tell(self, event: dict[str, Any]) -> None:
        kind: str = event["type"]
        if kind.startswith("response.") and self._is_aside(kind, event):
            return
        match kind.rpartition("."):
            case ("response.output_audio_transcript" | "response.output_text", _, "delta"):
                await self._speak(event["item_id"], event["delta"])
            case ("response.output_audio_transcript" | "response.output_text", _, "done"):
                await self._end_item()
            case (_, _, "delta"):
                item, words = self._guess
                self._guess = event["item_id"], (words if item == event["item_id"] else "") + event["delta"]
                await self._tell_user(*self._guess, final=False)
            case (_, _, "completed"):
                await self._tell_user(event["item_id"], event["transcript"], final=True)
            case _:
                pass

    def _is_aside(self, kind: str, event: dict[str, Any]) -> bool:
        if kind == "response.created" and event["response"]["conversation_id"] is None:
            self._aside.add(event["response"]["id"])
        elif kind == "response.done":
            self._aside.discard(event["response"]["id"])
        return event.get("response_id") in self._aside

    async def _speak(self, item: str, words: str) -> None:
        if self._speaking is None or self._speaking[0] != item:
            await self._end_item()
            self._speaking = item, await self._open(self._agent, item, final=False)
        await self._speaking[1].write(words)

    async def _end_item(self) -> None:
        if self._speaking is not None:
            (item, writer), self._speaking = self._speaking, None
            await writer.aclose(attributes=_attributes(self._agent, item, final=True))

    async def _tell_user(self, item: str, words: str, *, final: bool) -> None:
        user = self._user()
        if user is not None and words:
            writer = await self._open(user, item, final=final)
            await writer.write(words)
            await writer.aclose()

    async def _open(self, speaker: Speaker, item: str, *, final: bool) -> TextWriter:
        attributes = _attributes(speaker, item, final=final)
        return await self._me.stream_text(topic=TOPIC, attributes=attributes, sender_identity=speaker[0])

    async def close(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(self._close_timeout_s):
                await self._end_item()
        except self._failures:
            _log.debug("the last caption was not ended")
        finally:
            self.abort()

    def abort(self) -> None:
        self._closed.set()


def _attributes(speaker: Speaker, item: str, *, final: bool) -> dict[str, str]:
    return {SEGMENT: item, FINAL: "true" if final else "false", TRACK: speaker[1]}
