"""Audio of what is said again and again: greetings, fillers, the openings that a language model likes.

It is kept as the voice gave it, by a digest of what was said; the words themselves are not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

from antiphon.core.speech import AudioChunk

_MOST_SIGHTINGS = 4096
"""So many texts that were said once are remembered, by their digests."""

_LARGEST_SHARE = 0.25
"""Of the room, for one text: a long one would drive out all others."""

_OVERHEAD_BYTES = 200
"""About what a chunk takes besides its samples."""


class SpeechMemory:
    """The least recently used goes first. One for a server: what is said in one conversation is of use in others."""

    def __init__(self, capacity_bytes: int) -> None:
        """0 keeps nothing."""
        self._capacity = capacity_bytes
        self._kept: OrderedDict[bytes, tuple[AudioChunk, ...]] = OrderedDict()
        self._sighted: OrderedDict[bytes, None] = OrderedDict()
        self.used_bytes = 0
        self.hits = 0
        """How often something was found."""

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes) -> tuple[AudioChunk, ...] | None:
        """All of the audio, of a segment that ends with it."""
        found = self._kept.get(key)
        if found is not None:
            self._kept.move_to_end(key)
            self.hits += 1
        return found

    def is_worth_keeping(self, key: bytes, *, fixed: bool) -> bool:
        """Whether what is about to be said should be kept: a fixed text at once, any other the second time."""
        if not self._capacity or fixed or key in self._sighted:
            return bool(self._capacity)
        self._sighted[key] = None
        if len(self._sighted) > _MOST_SIGHTINGS:
            self._sighted.popitem(last=False)
        return False

    def keep(self, key: bytes, chunks: tuple[AudioChunk, ...]) -> None:
        """``chunks``: a whole segment. What is too large is left."""
        size = _size_bytes(chunks)
        if size > self._capacity * _LARGEST_SHARE:
            return
        self.used_bytes += size - _size_bytes(self._kept.pop(key, ()))
        self._kept[key] = chunks
        while self.used_bytes > self._capacity:
            self.used_bytes -= _size_bytes(self._kept.popitem(last=False)[1])


def _size_bytes(chunks: tuple[AudioChunk, ...]) -> int:
    return sum(len(chunk.pcm) + _OVERHEAD_BYTES * (1 + len(chunk.words)) for chunk in chunks)


def key_of(voice: str, version: str, speed: float, text: str) -> bytes:
    """What the audio depends on."""
    return blake2b("\0".join((voice, version, repr(speed), text)).encode(), digest_size=16).digest()
