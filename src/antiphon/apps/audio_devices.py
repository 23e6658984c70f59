"""Microphone and loudspeaker, by PortAudio (the ``sounddevice`` package)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from antiphon.apps.echo import APM_FRAME_BYTES, APM_FRAME_SAMPLES, APM_RATE_HZ, EchoCanceller
from antiphon.apps.playback import PlaybackBuffer
from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.errors import ConfigError
from antiphon.resampling import LiveResampler

MAX_WAITING_FRAMES = 100
"""One second from the microphone; what the event loop does not take in this time is dropped, oldest first."""

WITHOUT_DEVICES = "without them, give a conversation as files: --in question.wav --out call.wav; or write: --text"


class NoAudioError(ConfigError):
    """There is no usable microphone or loudspeaker."""


def _sounddevice() -> Any:
    """The module. Raises NoAudioError that says what to install."""
    try:
        import sounddevice
    except ImportError as error:
        raise NoAudioError(
            f"audio devices need the talk extra: pip install 'antiphon[talk]'; {WITHOUT_DEVICES}"
        ) from error
    except OSError as error:
        raise NoAudioError(
            f"the PortAudio library is missing: apt install libportaudio2 (Debian, Ubuntu, WSL); {WITHOUT_DEVICES}"
        ) from error
    return sounddevice


def list_devices() -> list[str]:
    """A line for each device: its number, name, channels, and whether it is a default. Raises NoAudioError for none."""
    sounddevice = _sounddevice()
    defaults = sounddevice.default.device
    lines: list[str] = []
    for number, device in enumerate(sounddevice.query_devices()):
        marks = [name for name, default in zip(("input", "output"), defaults, strict=True) if default == number]
        lines.append(
            f"{number:3}  {device['name']}  ({device['max_input_channels']} in, {device['max_output_channels']} out)"
            + (f"  default {' and '.join(marks)}" if marks else "")
        )
    if not lines:
        raise NoAudioError(f"this machine has no audio devices; {WITHOUT_DEVICES}")
    return lines


def check_devices(input_device: str | None, output_device: str | None) -> None:
    """Raises NoAudioError when there is no such microphone or loudspeaker; opens nothing."""
    sounddevice = _sounddevice()
    try:
        sounddevice.query_devices(_device(input_device), "input")
        sounddevice.query_devices(_device(output_device), "output")
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _unusable(error) from error


def _unusable(error: Exception) -> NoAudioError:
    return NoAudioError(f"no usable audio device ({error}): see 'antiphon talk --list-devices'; {WITHOUT_DEVICES}")


def _device(name: str | None) -> int | str | None:
    """A device as PortAudio takes it: by number, by a part of its name, or the default."""
    return int(name) if name is not None and name.isdecimal() else name


@dataclass(slots=True)
class _Echo:
    """What the two audio threads share. The delay is the sum of what PortAudio measures on either side."""

    canceller: EchoCanceller | None
    output_delay_ms: float = 0.0
    input_delay_ms: float = 0.0

    def played(self, pcm: bytes) -> None:
        if self.canceller is not None:
            self.canceller.played(pcm)

    def heard(self, pcm: bytes) -> bytes:
        if self.canceller is None:
            return pcm
        return self.canceller.heard(pcm, self.output_delay_ms + self.input_delay_ms)


@dataclass(slots=True)
class SoundDevices:
    """Open devices. As a ``Loudspeaker`` it takes the agent's voice; ``frames`` gives the user's."""

    _loop: asyncio.AbstractEventLoop
    _buffer: PlaybackBuffer = field(default_factory=lambda: PlaybackBuffer(APM_RATE_HZ))
    _upsampler: LiveResampler = field(default_factory=lambda: LiveResampler(WIRE_PCM_RATE_HZ, APM_RATE_HZ))
    _captured: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_WAITING_FRAMES))
    _ready: asyncio.Event = field(default_factory=asyncio.Event)
    dropped_frames: int = 0

    def push(self, pcm: bytes) -> None:
        self._buffer.push(self._upsampler.push(pcm))

    def finish(self) -> None:
        self._buffer.push(self._upsampler.push(b"", last=True))
        self._upsampler.reset()
        self._buffer.finish()

    def flush(self) -> float:
        self._upsampler.reset()
        return self._buffer.flush()

    @property
    def buffered_ms(self) -> float:
        return self._buffer.buffered_ms

    def pull(self) -> bytes:
        """The next 10 ms to play; called by the output's thread."""
        return self._buffer.pull(APM_FRAME_BYTES)

    def captured(self, pcm: bytes) -> None:
        """10 ms from the microphone; called by the input's thread."""
        self._loop.call_soon_threadsafe(self._take, pcm)

    def _take(self, pcm: bytes) -> None:
        if len(self._captured) == MAX_WAITING_FRAMES:
            self.dropped_frames += 1
        self._captured.append(pcm)
        self._ready.set()

    async def frames(self) -> AsyncGenerator[bytes]:
        """What the microphone hears: mono s16 at 24 kHz, about 20 ms at a time."""
        downsampler = LiveResampler(APM_RATE_HZ, WIRE_PCM_RATE_HZ)
        while True:
            while len(self._captured) < 2:
                self._ready.clear()
                await self._ready.wait()
            yield downsampler.push(self._captured.popleft() + self._captured.popleft())


@contextmanager
def open_devices(
    input_device: str | None, output_device: str | None, *, microphone: bool, cancel_echo: bool
) -> Iterator[SoundDevices]:
    """Opens the loudspeaker, and the microphone where it is wanted, for the running event loop.

    Raises NoAudioError when there is none or it cannot be opened, ConfigError when echo cancellation is not installed.
    """
    echo = _Echo(EchoCanceller() if cancel_echo and microphone else None)
    devices = SoundDevices(asyncio.get_running_loop())
    with ExitStack() as streams:
        _open_stream(streams, "RawOutputStream", output_device, _playing(devices, echo))
        if microphone:
            _open_stream(streams, "RawInputStream", input_device, _capturing(devices, echo))
        yield devices


def _open_stream(streams: ExitStack, kind: str, device: str | None, callback: Callable[..., None]) -> None:
    """Starts a stream of 10 ms blocks, to be stopped when ``streams`` are left."""
    sounddevice = _sounddevice()
    try:
        stream = getattr(sounddevice, kind)(
            device=_device(device),
            callback=callback,
            samplerate=APM_RATE_HZ,
            blocksize=APM_FRAME_SAMPLES,
            channels=1,
            dtype="int16",
            latency="low",
        )
        streams.callback(stream.close)
        stream.start()
        streams.callback(stream.abort)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _unusable(error) from error


def _playing(devices: SoundDevices, echo: _Echo) -> Callable[..., None]:
    def callback(out: Any, _frames: int, time: Any, _status: Any) -> None:
        pcm = devices.pull()
        out[:] = pcm
        echo.output_delay_ms = (time.outputBufferDacTime - time.currentTime) * 1000
        echo.played(pcm)

    return callback


def _capturing(devices: SoundDevices, echo: _Echo) -> Callable[..., None]:
    def callback(heard: Any, _frames: int, time: Any, _status: Any) -> None:
        echo.input_delay_ms = (time.currentTime - time.inputBufferAdcTime) * 1000
        devices.captured(echo.heard(bytes(heard)))

    return callback
