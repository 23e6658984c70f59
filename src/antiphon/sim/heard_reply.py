"""What a client got of one reply of a session."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.engines import tone_code
from antiphon.ids import ItemId, ReplyId


@dataclass(slots=True)
class HeardReply:
    """All of it, with the times at which it came, on the loop's clock in s."""

    id: ReplyId
    created_at: float
    text: str = ""
    transcript: str = ""
    audio: bytearray = field(default_factory=bytearray)
    """At 48 kHz."""
    first_audio_at: float | None = None
    last_audio_at: float | None = None
    calls: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By call id, the function's name and its arguments."""
    items: list[ItemId] = field(default_factory=list)
    brain: str | None = None
    """The language model that answered."""
    voices: list[str] = field(default_factory=list)
    """Those that spoke, one after the other."""
    clauses: list[str] = field(default_factory=list)
    """What was handed to them."""
    status: str | None = None
    """None while it is not over."""
    reason: str | None = None
    error: str | None = None
    done_at: float | None = None

    @property
    def audio_s(self) -> float:
        return len(self.audio) / 2 / MOUTH_RATE_HZ

    def spoken_words(self) -> list[str]:
        """The words that a listener of all that audio heard, read from the tones."""
        return tone_code.decode(bytes(self.audio), MOUTH_RATE_HZ).split()
