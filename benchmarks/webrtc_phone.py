"""A client of a call: aiortc with our own ear and mouth, whose microphone knows when each sample was spoken.

It is a ``Connection``: the protocol's events come and go over the data channel.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import orjson
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from antiphon.apps.realtime_client import Arrival, ClientError, Journal, Listener
from antiphon.apps.selftest.caller import Utterance
from antiphon.audio import (
    EAR_RATE_HZ,
    FRAME_BYTES,
    FRAME_MS,
    MOUTH_RATE_HZ,
    WIRE_PCM_RATE_HZ,
    first_audible,
    resample,
)
from antiphon.session.pacer import Pacer
from antiphon.sim.udp_relay import UdpRelay
from antiphon.transport.webrtc.aiortc_parts import listen, speak
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.mouth import Mouth

CALLS = "/v1/realtime/calls?model=antiphon&events=antiphon"
CONNECT_S = 30.0
EVENT_S = 10.0
ANSWER_S = 20.0
REPLY_S = 60.0

_FRAME_S = FRAME_MS / 1000
_LOOK_BACK_FRAMES = 25
_LEFT_OUT_S = 0.01
"""A microphone that has been so late for half a second does not catch up any more: it has left frames out."""


@dataclass(frozen=True, slots=True)
class Said:
    """When the speech in it truly began and ended, and what had arrived before it."""

    onset_at: float
    end_at: float
    mark: int


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer that was listened to."""

    id: str
    status: str
    transcript: str
    first_audible_at: float | None


class Phone:
    """Made by ``dialled``."""

    def __init__(self, pacer: Pacer) -> None:
        self._loop = asyncio.get_running_loop()
        self._pacer = pacer
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._listeners: list[Listener] = []
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._channel = self._pc.createDataChannel("oai-events")
        self._channel.on("message", self._take)
        self._channel.on("close", lambda: self._end("the data channel was closed"))
        self._mouth = Mouth(pacer)
        self.ear = Ear(self._hear, pacer)
        self._unsaid: deque[tuple[bytes, asyncio.Future[float] | None]] = deque()
        self._next_at = 0.0
        self._ticks = 0
        self._least_late_s = math.inf
        self.left_out_s = 0.0
        """How much the microphone has not sent, as this process was not given the time to."""
        self.began_at = 0.0
        """When the microphone's first sample was taken."""
        self.pieces: list[tuple[float, bytes]] = []
        """What was heard, mono s16 at 16 kHz, and when; whoever is done with it may clear it."""
        self.on_sound: Callable[[float, bytes], None] = lambda at, pcm: self.pieces.append((at, pcm))
        """Where it goes instead."""
        self.first_heard_at = 0.0
        self.heard_samples = 0
        self.least_behind_s = math.inf
        """By how much what was heard lagged behind the time at least, since somebody set it back. What was heard lags
        for a moment where a packet is waited for, and between the few packets of a silence."""
        self.journal = Journal(self)

    # The line.

    @property
    def ended(self) -> asyncio.Future[str]:
        return self._ended

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def send_text(self, event_json: str) -> None:
        if self._channel.readyState != "open":
            raise ClientError(f"the data channel is {self._channel.readyState}")
        self._channel.send(event_json)

    def _take(self, message: str) -> None:
        arrival = Arrival(self._loop.time(), orjson.loads(message))
        for listener in self._listeners:
            listener(arrival)

    def _end(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_result(why)

    async def connect(self, http: aiohttp.ClientSession, url: str, relay: UdpRelay | None = None) -> None:
        transceiver = self._pc.addTransceiver("audio")
        await self._pc.setLocalDescription(await self._pc.createOffer())
        offer = self._pc.localDescription.sdp
        data = relay.for_far(offer) if relay else offer
        answer = await self._answer_to(data, http, url)
        listen(transceiver.receiver, self.ear)
        speak(transceiver.sender, self._mouth)
        sdp = relay.for_near(answer) if relay else answer
        await self._pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        await self.journal.expect("session.created", timeout_s=CONNECT_S)
        self._pacer.join(self._tick)

    async def _answer_to(self, offer: str, http: aiohttp.ClientSession, url: str) -> str:
        """A server that is too busy is asked again when it says."""
        until = self._loop.time() + CONNECT_S
        while True:
            async with http.post(f"{url}{CALLS}", data=offer, headers={"Content-Type": "application/sdp"}) as response:
                answer = await response.text()
                if response.status == 201:
                    return answer
                if response.status != 503 or self._loop.time() > until:
                    raise ClientError(f"the call was refused with status {response.status}: {answer}")
                wait_s = float(response.headers["Retry-After"])
            await asyncio.sleep(wait_s)

    async def hang_up(self) -> None:
        self._pacer.leave(self._tick)
        self._end("hung up")
        await self._pc.close()
        self.ear.close()
        self._mouth.stop()

    # The microphone.

    def _tick(self, now: float) -> None:
        if not self.began_at:
            self.began_at = now - _FRAME_S
            self._next_at = self.began_at
        self._keep_time(now - self._next_at - _FRAME_S)
        frame, spoken = self._unsaid.popleft() if self._unsaid else (bytes(FRAME_BYTES), None)
        if spoken is not None and not spoken.done():
            spoken.set_result(self._next_at)
        self._next_at += _FRAME_S
        self._mouth.send(frame)

    def _keep_time(self, late_s: float) -> None:
        """Timers are late at times, and the pacer makes up for it, but leaves frames out after too long.

        So the least late of some frames tells when they were taken.
        """
        self._least_late_s = min(self._least_late_s, late_s)
        self._ticks += 1
        if self._ticks % _LOOK_BACK_FRAMES == 0:
            if self._ticks == _LOOK_BACK_FRAMES:
                self.began_at += self._least_late_s
                self._next_at += self._least_late_s
            elif self._least_late_s > _LEFT_OUT_S:
                self._next_at += self._least_late_s
                self.left_out_s += self._least_late_s
            self._least_late_s = math.inf

    async def say(self, utterance: Utterance) -> Said:
        """Speaks, and returns when the last of it is said."""
        mark = len(self.journal)
        pcm = resample(utterance.pcm, WIRE_PCM_RATE_HZ, MOUTH_RATE_HZ)
        frames = [pcm[at : at + FRAME_BYTES].ljust(FRAME_BYTES, b"\0") for at in range(0, len(pcm), FRAME_BYTES)]
        last: asyncio.Future[float] = self._loop.create_future()
        self._unsaid.extend((frame, None) for frame in frames[:-1])
        self._unsaid.append((frames[-1], last))
        began_at = await last - (len(frames) - 1) * _FRAME_S
        rate = WIRE_PCM_RATE_HZ
        return Said(began_at + utterance.start_sample / rate, began_at + utterance.end_sample / rate, mark)

    # The speaker.

    def _hear(self, pcm: bytes) -> None:
        now = self._loop.time()
        self.first_heard_at = self.first_heard_at or now
        self.heard_samples += len(pcm) // 2
        behind_s = now - self.first_heard_at - self.heard_samples / EAR_RATE_HZ
        self.least_behind_s = min(self.least_behind_s, behind_s)
        self.on_sound(now, pcm)

    async def configure(self, session: dict[str, object]) -> None:
        update = {"type": "session.update", "session": {"type": "realtime", **session}}
        mark = len(self.journal)
        await self.send_text(orjson.dumps(update).decode())
        await self.journal.expect("session.updated", timeout_s=EVENT_S, since=mark)

    async def reply_began(self, mark: int) -> Arrival:
        return await self.journal.expect(
            "response.created", timeout_s=ANSWER_S, since=mark, name="an answer (response.created)"
        )

    async def answer(self, said: Said) -> Heard:
        """The answer, heard to its end. One that was taken back because the user went on gives way to the next."""
        mark, after = said.mark, said.end_at
        while True:
            created = await self.reply_began(mark)
            reply = str(created.child("response").get("id"))
            done = await self._of_reply("response.done", reply, mark)
            if done.child("response").get("status") != "cancelled":
                break
            after = done.at
            mark = self.journal.arrivals.index(created, mark) + 1
        if done.child("response").get("status") == "completed":
            await self._of_reply("output_audio_buffer.stopped", reply, mark)
        words = "".join(
            arrival.text("delta")
            for arrival in self.journal.since(mark, "response.output_audio_transcript.delta")
            if arrival.text("response_id") == reply
        )
        status = str(done.child("response").get("status"))
        return Heard(reply, status, words, self._first_audible(after))

    def _first_audible(self, after: float) -> float | None:
        """When the first audible sample that came after this time can be played at the earliest."""
        for at, pcm in self.pieces:
            if at > after and (place := first_audible(pcm)) is not None:
                return at + place / EAR_RATE_HZ
        return None

    async def _of_reply(self, kind: str, reply: str, mark: int) -> Arrival:
        def is_it(arrival: Arrival) -> bool:
            named = arrival.text("response_id") or str(arrival.child("response").get("id"))
            return arrival.kind == kind and named == reply

        return await self.journal.expect(is_it, timeout_s=REPLY_S, since=mark, name=kind)


@asynccontextmanager
async def dialled(
    url: str, pacer: Pacer, relay: UdpRelay | None = None, **turn_detection: object
) -> AsyncIterator[Phone]:
    """A call, with an open microphone and 200 ms of end-of-turn silence."""
    detection = {"type": "server_vad", "silence_duration_ms": 200, **turn_detection}
    phone = Phone(pacer)
    try:
        async with aiohttp.ClientSession() as http:
            await phone.connect(http, url, relay)
        ear = {"turn_detection": detection, "transcription": {"model": "whisper-1"}}
        await phone.configure({"audio": {"input": ear}})
        yield phone
    finally:
        await phone.hang_up()
