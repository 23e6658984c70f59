"""The last events of a session, for a client that comes back and has missed some."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import orjson

MOST_BYTES = 1024 * 1024
"""Some 15 s of audio, which is sent in bursts, and many minutes of everything else."""


class Entry(NamedTuple):
    data: bytes
    is_media: bool


class Journal:
    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._missed = 0
        """So many of the entries, the last ones, were added since ``mark``."""

    def add(self, data: bytes, *, media: bool) -> None:
        # A copy: bytes that orjson has made hold 4 kB however short they are.
        self._entries.append(Entry(bytes(memoryview(data)), media))
        self._bytes += len(data)
        self._missed += 1
        while self._bytes > self._most_bytes:
            self._bytes -= len(self._entries.popleft().data)
        self._missed = min(self._missed, len(self._entries))

    def mark(self) -> None:
        """What is added from now on does not reach the client."""
        self._missed = 0

    def drop_media(self) -> None:
        """Forgets the audio: nobody wants to hear it any more."""
        unmissed = len(self._entries) - self._missed
        self._missed -= sum(entry.is_media for index, entry in enumerate(self._entries) if index >= unmissed)
        self._entries = deque(entry for entry in self._entries if not entry.is_media)
        self._bytes = sum(len(entry.data) for entry in self._entries)

    def missed(self, last_event_id: str | None) -> list[Entry]:
        """What a client lacks that has received the event of this id last, or, where it does not say, since ``mark``.

        An id that is not among the entries is older than all of them.
        """
        entries = list(self._entries)
        if last_event_id is None:
            return entries[len(entries) - self._missed :]
        for index in range(len(entries) - 1, -1, -1):
            if orjson.loads(entries[index].data)["event_id"] == last_event_id:
                return entries[index + 1 :]
        return entries
