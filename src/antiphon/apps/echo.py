"""Echo cancellation: takes the agent's own voice, which the loudspeaker plays, out of what the microphone hears.

WebRTC's audio processing module, as the ``livekit`` package carries it. It runs without any server.
"""

from __future__ import annotations

from antiphon.errors import ConfigError

APM_RATE_HZ = 48_000
APM_FRAME_MS = 10
"""The module takes exactly this much at a time."""
APM_FRAME_SAMPLES = APM_RATE_HZ * APM_FRAME_MS // 1000
APM_FRAME_BYTES = APM_FRAME_SAMPLES * 2


class EchoCanceller:
    """One loudspeaker and one microphone. ``played`` and ``heard`` may be called from different threads.

    Raises ConfigError when its package is not installed.
    """

    def __init__(self) -> None:
        try:
            from livekit.rtc import AudioFrame, AudioProcessingModule
        except ImportError as error:
            raise ConfigError(
                "echo cancellation needs the talk extra: pip install 'antiphon[talk]', or give --no-echo-cancellation"
            ) from error
        self._frame = AudioFrame
        self._module = AudioProcessingModule(echo_cancellation=True, noise_suppression=True, high_pass_filter=True)

    def played(self, pcm: bytes) -> None:
        """A frame of 10 ms, mono s16 at 48 kHz, on its way to the loudspeaker."""
        self._module.process_reverse_stream(self._frame(bytearray(pcm), APM_RATE_HZ, 1, APM_FRAME_SAMPLES))

    def heard(self, pcm: bytes, delay_ms: float) -> bytes:
        """A frame of 10 ms from the microphone; returns it without the echo.

        ``delay_ms``: between a frame's ``played`` and the ``heard`` that holds its echo, all latencies of the devices
        included.
        """
        frame = self._frame(bytearray(pcm), APM_RATE_HZ, 1, APM_FRAME_SAMPLES)
        self._module.set_stream_delay_ms(max(0, round(delay_ms)))
        self._module.process_stream(frame)
        return bytes(frame.data.cast("B"))
