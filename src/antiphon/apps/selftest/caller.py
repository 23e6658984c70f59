"""One caller of the self-test: speaks into a conversation in real time and gathers what comes back."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from antiphon.apps.microphone import PacedMicrophone
from antiphon.apps.realtime_client import Arrival, ClientError, Connection, Journal, connect, send
from antiphon.apps.selftest.measures import ReplyAudio, reply_audio
from antiphon.audio import WIRE_PCM_RATE_HZ

ANSWER_LIMIT_S = 12.0
"""For an answer to begin; an embedded engine takes a tenth of a second, a large model on a slow machine some."""
REPLY_LIMIT_S = 45.0
"""For a spoken reply to be over."""
EVENT_LIMIT_S = 5.0
"""For what the server answers at once."""

COMPLETED = "conversation.item.input_audio_transcription.completed"
FAILED = "conversation.item.input_audio_transcription.failed"


@dataclass(frozen=True, slots=True)
class Utterance:
    """Something to say: mono s16 at 24 kHz, and where in it the speech truly begins and ends."""

    text: str
    pcm: bytes
    start_sample: int
    end_sample: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance that was said: when its speech truly began and ended, and what had arrived before it."""

    onset_at: float
    end_at: float
    mark: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, whole."""

    id: str
    item_id: str
    status: str
    reason: str
    transcript: str
    calls: tuple[dict[str, Any], ...]
    audio: ReplyAudio


class Caller:
    """Drives one conversation. All waiting ends by ClientError when what is waited for does not come."""

    def __init__(self, client: Connection) -> None:
        self.client = client
        self.journal = Journal(client)
        self.microphone = PacedMicrophone(client)
        self.session: dict[str, Any] = {}
        """As the server had it at the beginning."""
        self._numbers = itertools.count(1)

    @property
    def mark(self) -> int:
        """What has arrived so far, to look only at what comes after it."""
        return len(self.journal)

    async def configure(self, session: dict[str, Any]) -> dict[str, Any]:
        """Updates the session, returns it as the server has it then."""
        mark = self.mark
        await send(self.client, {"type": "session.update", "session": {"type": "realtime", **session}})
        updated = await self.journal.expect("session.updated", timeout_s=EVENT_LIMIT_S, since=mark)
        return updated.child("session")

    async def say(self, utterance: Utterance) -> Spoken:
        """Speaks, and returns when the last of it is said."""
        mark = self.mark
        said = await self.microphone.speak(utterance.pcm)
        return Spoken(
            onset_at=self.microphone.time_of(said.start_sample + utterance.start_sample),
            end_at=self.microphone.time_of(said.start_sample + utterance.end_sample),
            mark=mark,
        )

    async def transcripts(self, mark: int, *, until: float) -> list[Arrival]:
        """The transcripts of all turns since ``mark``, of which the last one ends after the time ``until``."""
        journal = self.journal

        def ended(arrival: Arrival) -> bool:
            return arrival.kind == "input_audio_buffer.committed" and arrival.at >= until

        await journal.expect(ended, timeout_s=EVENT_LIMIT_S, since=mark, name="the end of the user's turn")
        found: list[Arrival] = []
        for committed in journal.since(mark, "input_audio_buffer.committed"):
            item = committed.text("item_id")
            found.append(await self._transcript(item, mark))
        return found

    async def _transcript(self, item_id: str, mark: int) -> Arrival:
        return await self.journal.expect(
            lambda arrival: arrival.kind in (COMPLETED, FAILED) and arrival.text("item_id") == item_id,
            timeout_s=EVENT_LIMIT_S,
            since=mark,
            name="the transcript of the user's turn",
        )

    async def type(self, text: str) -> tuple[int, float]:
        """Writes a message and asks for an answer; returns the mark before it, and when it asked."""
        mark = self.mark
        content = [{"type": "input_text", "text": text}]
        await self.add({"type": "message", "role": "user", "content": content})
        asked_at = asyncio.get_running_loop().time()
        await send(self.client, {"type": "response.create"})
        return mark, asked_at

    async def add(self, item: dict[str, Any]) -> Arrival:
        """Adds an item to the conversation and waits until it is in."""
        mark = self.mark
        item = {"id": f"selftest_{next(self._numbers)}", **item}
        await send(self.client, {"type": "conversation.item.create", "item": item})

        def done(arrival: Arrival) -> bool:
            return arrival.kind == "conversation.item.done" and arrival.child("item").get("id") == item["id"]

        return await self.journal.expect(done, timeout_s=EVENT_LIMIT_S, since=mark, name="the item that was added")

    async def delete(self, item_id: str) -> None:
        mark = self.mark
        await send(self.client, {"type": "conversation.item.delete", "item_id": item_id})
        await self.journal.expect("conversation.item.deleted", timeout_s=EVENT_LIMIT_S, since=mark)

    async def retrieve(self, item_id: str) -> dict[str, Any]:
        """The item as the server has it in its context."""
        mark = self.mark
        await send(self.client, {"type": "conversation.item.retrieve", "item_id": item_id})
        arrival = await self.journal.expect("conversation.item.retrieved", timeout_s=EVENT_LIMIT_S, since=mark)
        return arrival.child("item")

    async def reply_began(self, mark: int) -> str:
        """The id of the first reply after ``mark``."""
        created = await self.journal.expect(
            "response.created", timeout_s=ANSWER_LIMIT_S, since=mark, name="an answer (response.created)"
        )
        return str(created.child("response").get("id"))

    async def heard_for(self, reply: str, duration_s: float, mark: int) -> None:
        """Waits until so much of the reply's audio has come. Raises ClientError when it is over before."""
        missing = int(duration_s * WIRE_PCM_RATE_HZ) * 2

        def enough_or_over(arrival: Arrival) -> bool:
            nonlocal missing
            if arrival.kind == "response.output_audio.delta" and arrival.text("response_id") == reply:
                missing -= len(arrival.audio())
            return missing <= 0 or _ends(arrival, reply)

        name = f"{duration_s:g} s of the reply's audio"
        limit_s = ANSWER_LIMIT_S + duration_s
        arrival = await self.journal.expect(enough_or_over, timeout_s=limit_s, since=mark, name=name)
        if _ends(arrival, reply):
            raise ClientError(f"the reply was over before {duration_s:g} s of it had come")

    async def answer(self, mark: int) -> Answer:
        """The whole answer after ``mark``. One that was taken back because the user went on gives way to the next."""
        while True:
            reply = await self.reply_began(mark)
            answer = await self.finished(reply, mark)
            if answer.status != "cancelled" or answer.reason != "turn_detected":
                return answer
            created = self.journal.since(mark, "response.created")
            (number,) = (n for n, a in enumerate(created) if a.child("response").get("id") == reply)
            mark = self.journal.arrivals.index(created[number], mark) + 1

    async def finished(self, reply: str, mark: int) -> Answer:
        """The reply with id ``reply`` once it is done, all of its audio included."""
        arrival = await self.journal.expect(
            lambda arrival: _ends(arrival, reply),
            timeout_s=REPLY_LIMIT_S,
            since=mark,
            name="the end of the answer (response.done)",
        )
        response = arrival.child("response")
        arrivals = self.journal.since(mark)
        output = [item for item in response.get("output") or [] if isinstance(item, dict)]
        messages = [item for item in output if item.get("type") == "message"]
        deltas = [
            a.text("delta")
            for a in arrivals
            if a.kind in ("response.output_audio_transcript.delta", "response.output_text.delta")
            and a.text("response_id") == reply
        ]
        details = response.get("status_details") or {}
        return Answer(
            id=reply,
            item_id=str(messages[0].get("id")) if messages else "",
            status=str(response.get("status")),
            reason=str(details.get("reason") or (details.get("error") or {}).get("message") or ""),
            transcript="".join(deltas),
            calls=tuple(item for item in output if item.get("type") == "function_call"),
            audio=reply_audio(arrivals, reply),
        )


def _ends(arrival: Arrival, reply: str) -> bool:
    return arrival.kind == "response.done" and arrival.child("response").get("id") == reply


@asynccontextmanager
async def calling(url: str, api_key: str | None) -> AsyncIterator[Caller]:
    """A caller with an open line and a running microphone. Raises ClientError."""
    async with connect(url, api_key) as client:
        caller = Caller(client)
        created = await caller.journal.expect("session.created", timeout_s=EVENT_LIMIT_S)
        caller.session = created.child("session")
        speaking = asyncio.create_task(caller.microphone.run())
        try:
            yield caller
        finally:
            speaking.cancel()
            (outcome,) = await asyncio.gather(speaking, return_exceptions=True)
            if isinstance(outcome, Exception) and not isinstance(outcome, ClientError):
                raise outcome


def utterance(text: str, pcm: bytes, span: tuple[int, int]) -> Utterance:
    """Cuts away the silence around the speech, all but a tenth of a second before it."""
    lead = WIRE_PCM_RATE_HZ // 10
    begin = max(0, span[0] - lead)
    return Utterance(text, pcm[begin * 2 : span[1] * 2], span[0] - begin, span[1] - begin)
