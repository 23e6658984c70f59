"""One conversation as a terminal client holds it: plays what comes, keeps the captions, tells what was heard."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from antiphon.apps.realtime_client import Arrival, ClientError, Connection, send
from antiphon.apps.talk.transcript import Transcript
from antiphon.apps.tasks import until_first
from antiphon.audio import WIRE_PCM_RATE_HZ, bytes_to_ms

QUIET_S = 1.5
"""A conversation is over when nothing has happened for so long, and nothing is under way."""
UNTOLD_QUIET_S = 4.0
"""The same at a server that does not tell its state, whose model may take so long to begin."""


_TOO_EARLY = "conversation_already_has_active_response"
_TOO_LATE = "response_cancel_not_active"


def is_too_early(arrival: Arrival) -> bool:
    """An answer was asked for while another one was being given: a greeting, or what an agent says by itself."""
    return arrival.kind == "error" and arrival.child("error").get("code") == _TOO_EARLY


def is_too_late(arrival: Arrival) -> bool:
    """What was to be cut off was over by then."""
    return arrival.kind == "error" and arrival.child("error").get("code") == _TOO_LATE


class Loudspeaker(Protocol):
    """Where the agent's voice goes."""

    def push(self, pcm: bytes) -> None:
        """Mono s16 at 24 kHz, of any even length."""
        ...

    def finish(self) -> None:
        """No more comes for now: play what is there."""
        ...

    def flush(self) -> float:
        """Plays no more of what is there; returns how much that was, in ms."""
        ...

    @property
    def buffered_ms(self) -> float: ...


class Call:
    """Reads all events of its connection. What it posts is sent by ``run``."""

    def __init__(
        self, client: Connection, loudspeaker: Loudspeaker, *, thoughts: bool = False, patient: bool = False
    ) -> None:
        """``patient``: the model may be thinking while the conversation is idle."""
        self.transcript = Transcript(thoughts=thoughts)
        self._patient = patient
        self._client = client
        self._loudspeaker = loudspeaker
        self._outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._replies: set[str] = set()
        """Those that have begun and are not done."""
        self._received_ms: dict[str, float] = {}
        """How much audio of each item of the open replies has come."""
        self._awaited = 0
        """Replies that we asked for and that have not begun."""
        self._too_early = False
        """One of them is asked for again when the reply that is in its way is over."""
        self._is_set = False
        """The server has taken our settings, or said why not."""
        self._changed = asyncio.Event()
        self._changed_at = self._loop.time()
        client.listen(self._read)

    def post(self, event: dict[str, Any]) -> None:
        """Sends an event, after those before it."""
        self._outbox.put_nowait(event)

    def type(self, text: str) -> None:
        """A written turn. What the agent is saying is cut off."""
        if self._replies:
            self.post({"type": "response.cancel"})
        content = [{"type": "input_text", "text": text}]
        self.post({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
        self._ask()
        self.transcript.typed(text)
        self.stir()

    def _ask(self) -> None:
        self.post({"type": "response.create"})
        self._awaited += 1

    async def run(self) -> None:
        """Sends what is posted, until cancelled. Raises ClientError when the connection ends."""
        await until_first(self._send(), self._over())

    async def _send(self) -> None:
        while True:
            await send(self._client, await self._outbox.get())

    async def _over(self) -> None:
        raise ClientError(f"the conversation is over: {await asyncio.shield(self._client.ended)}")

    async def settle(self) -> None:
        """Returns when nothing is under way and nothing has happened for a while."""
        while not self.quiet():
            self._changed.clear()
            try:
                async with asyncio.timeout(QUIET_S):
                    await self._changed.wait()
            except TimeoutError:
                continue  # time alone may have made it quiet

    async def begun(self) -> None:
        """Returns when the session is as we want it, and all is told of a conversation that goes on."""
        while not self._is_set or self.transcript.tells_before:
            self._changed.clear()
            await self._changed.wait()

    def quiet(self) -> bool:
        if self._replies or self._awaited or self._loudspeaker.buffered_ms > 0:
            return False
        if self.transcript.state not in (None, "idle"):
            return False
        untold = self._patient or self.transcript.state is None
        needed_s = UNTOLD_QUIET_S if untold else QUIET_S
        return self._loop.time() - self._changed_at >= needed_s

    def stir(self) -> None:
        """Something happens."""
        self._changed_at = self._loop.time()
        self._changed.set()

    def _read(self, arrival: Arrival) -> None:
        self.stir()
        for item_id in self.transcript.read(arrival):
            self._tell_heard(item_id)
        match arrival.kind:
            case "session.updated":
                self._is_set = True
            case "response.created":
                self._awaited = max(0, self._awaited - 1)
                self._replies.add(str(arrival.child("response").get("id")))
            case "response.output_audio.delta":
                pcm = arrival.audio()
                item_id = arrival.text("item_id")
                heard_ms = bytes_to_ms(len(pcm), WIRE_PCM_RATE_HZ)
                self._received_ms[item_id] = self._received_ms.get(item_id, 0.0) + heard_ms
                self._loudspeaker.push(pcm)
            case "response.output_audio.done":
                self._loudspeaker.finish()
            case "response.done":
                response = arrival.child("response")
                self._replies.discard(str(response.get("id")))
                self._loudspeaker.finish()
                if response.get("status") == "cancelled":
                    self._cut()
                self._received_ms.clear()
                if self._too_early:
                    self._too_early = False
                    self._ask()
            case "error" if not is_too_late(arrival):
                self._is_set = True
                self._awaited = max(0, self._awaited - 1)
                self._too_early = self._too_early or is_too_early(arrival)

    def _cut(self) -> None:
        """Falls silent, and tells the server when it sent more than was played."""
        dropped_ms = self._loudspeaker.flush()
        if dropped_ms and self._received_ms:
            item_id, received_ms = list(self._received_ms.items())[-1]
            self.post(
                {
                    "type": "conversation.item.truncate",
                    "item_id": item_id,
                    "content_index": 0,
                    "audio_end_ms": max(0, int(received_ms - dropped_ms)),
                }
            )

    def _tell_heard(self, item_id: str) -> None:
        """Asks what of a cut item counts as heard, for the captions. The truncation of ``_cut`` must go before."""
        self._loop.call_soon(self.post, {"type": "conversation.item.retrieve", "item_id": item_id})
