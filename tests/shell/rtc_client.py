"""A WebRTC client of the Realtime protocol, as a browser is one: aiortc, the data channel, a microphone, a speaker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Self

import aiohttp
import orjson
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

PATIENCE_S = 20.0
RATE_HZ = 48_000
FRAME_SAMPLES = 960


class Microphone(MediaStreamTrack):
    """Plays what it is given, mono s16 at 48 kHz, and silence otherwise, frame by frame in real time."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._unsaid = bytearray()
        self._sent = 0
        self._began_at = 0.0
        self.quiet = asyncio.Event()
        """Set while there is nothing to say."""
        self.quiet.set()

    def say(self, pcm: bytes) -> None:
        self._unsaid += pcm
        self.quiet.clear()

    async def recv(self) -> AudioFrame:
        loop = asyncio.get_running_loop()
        self._began_at = self._began_at or loop.time()
        due_at = self._began_at + self._sent * FRAME_SAMPLES / RATE_HZ
        await asyncio.sleep(max(0.0, due_at - loop.time()))  # the pace of a microphone
        piece = bytes(self._unsaid[: FRAME_SAMPLES * 2])
        del self._unsaid[: FRAME_SAMPLES * 2]
        if not self._unsaid:
            self.quiet.set()
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(piece.ljust(FRAME_SAMPLES * 2, b"\0"))
        frame.sample_rate = RATE_HZ
        frame.pts = self._sent * FRAME_SAMPLES
        frame.time_base = Fraction(1, RATE_HZ)
        self._sent += 1
        return frame


class RtcClient:
    """One call, for the length of an ``async with`` block. ``events`` has all that came over the data channel."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        *,
        configuration: RTCConfiguration | None = None,
        status: int = 201,
        with_channel: bool = True,
        **post: Any,
    ) -> None:
        """``url``: where the offer is posted. ``status``: that of the answer. ``post``: what else goes with the
        request; ``data`` instead of the SDP may be a function of it."""
        self._http = http
        self._expected = status
        self._url = url
        self._post = post
        self.pc = RTCPeerConnection(configuration or RTCConfiguration(iceServers=[]))
        self.microphone = Microphone()
        self.events: list[dict[str, Any]] = []
        self.heard = bytearray()
        """What the speaker got: mono s16 at 48 kHz."""
        self.sound = asyncio.Event()
        """Set whenever more of it has come."""
        self.location = ""
        self.status = 0
        self.answer = ""
        self._watchers: list[asyncio.Event] = []
        self._listening: asyncio.Task[None] | None = None
        self._channel: RTCDataChannel | None = None
        if with_channel:
            self._channel = self.pc.createDataChannel("oai-events")
            self._channel.on("message", self._take)
        self.pc.addTrack(self.microphone)
        self.pc.on("track", self._hear)

    def _take(self, message: str) -> None:
        self.events.append(orjson.loads(message))
        for watcher in self._watchers:
            watcher.set()

    def _hear(self, track: MediaStreamTrack) -> None:
        self._listening = asyncio.create_task(self._listen(track))

    async def _listen(self, track: MediaStreamTrack) -> None:
        from aiortc.mediastreams import MediaStreamError

        resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, AudioFrame)
                for piece in resampler.resample(frame):
                    self.heard += bytes(piece.planes[0])[: piece.samples * 2]
                    self.sound.set()
        except MediaStreamError:
            pass

    async def offer(self) -> str:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def connect(self) -> Self:
        sdp = await self.offer()
        make = self._post.pop("data", None)
        options: dict[str, Any] = dict(self._post)
        if make is None:
            options["data"] = sdp
            options["headers"] = {"Content-Type": "application/sdp", **options.get("headers", {})}
        else:
            options["data"] = make(sdp)
        async with self._http.post(self._url, **options) as response:
            self.status = response.status
            self.answer = await response.text()
            self.location = response.headers.get("Location", "")
        assert self.status == self._expected, self.answer
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer, "answer"))
        return self

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self.pc.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    @property
    def call_id(self) -> str:
        return self.location.rpartition("/")[2]

    def send(self, event: dict[str, Any]) -> None:
        assert self._channel is not None
        self._channel.send(orjson.dumps(event).decode())

    async def until(self, holds: Callable[[dict[str, Any]], bool] | str, *, since: int = 0) -> dict[str, Any]:
        """The first event from the one at ``since`` on that is of this type, or for which this holds."""
        kind = holds
        test = (lambda event: event["type"] == kind) if isinstance(kind, str) else kind
        changed = asyncio.Event()
        self._watchers.append(changed)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    for event in self.events[since:]:
                        if test(event):
                            return event
                    since = len(self.events)
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {holds} among {[event['type'] for event in self.events]}") from None
        finally:
            self._watchers.remove(changed)
