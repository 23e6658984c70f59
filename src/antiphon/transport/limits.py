"""Under which limits clients live, with their sessions and their requests for speech."""

from __future__ import annotations

from dataclasses import dataclass

_MiB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    max_sessions: int = 200
    """At the same time; further clients are told to come again."""
    max_session_s: float = 3600.0
    idle_timeout_s: float = 300.0
    """Neither side has sent anything for so long."""
    max_message_bytes: int = 24 * _MiB
    """Room for the largest audio that an event may carry, 15 MiB, as base64. A longer message closes the connection."""
    max_queued_bytes: int = 8 * _MiB
    """What may wait for a client that reads slowly: two minutes of PCM."""
    stalled_after_s: float = 10.0
    """A client that takes nothing for so long is cut off."""
    resume_s: float = 60.0
    """So long a session waits for its client when the connection was lost."""
    close_timeout_s: float = 2.0
    """For the closing handshake, and for a session to end."""

    @property
    def check_interval_s(self) -> float:
        """How often the times above are looked at."""
        times = (self.max_session_s, self.idle_timeout_s, self.stalled_after_s, self.resume_s)
        return min(1.0, *(time_s / 4 for time_s in times if time_s))


@dataclass(frozen=True, slots=True)
class SpeechLimits:
    """Of speech without a conversation."""

    max_requests: int = 16
    """At the same time, of both kinds together; further ones are told to come again."""
    max_input_chars: int = 4096
    max_file_bytes: int = 25 * _MiB
    max_audio_s: float = 600.0
    stalled_after_s: float = 10.0
    """A client that takes nothing for so long is cut off."""
