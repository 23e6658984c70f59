"""Audio of any length in, frames of 20 ms out; text as it comes in, pieces that can be spoken out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from antiphon.audio import FRAME_BYTES
from antiphon.core.speech import Word
from antiphon.engines.segments import PART_CHARS, parts_of


@dataclass(frozen=True, slots=True)
class Frame:
    """``pcm`` is 1920 bytes, or none. ``padding_from`` is the first sample that is padding, if there is any."""

    pcm: bytes
    words: tuple[Word, ...] = ()
    padding_from: int | None = None


class Framer:
    """Cuts the audio of one segment. It keeps a frame back, so that the last can be told as the last."""

    def __init__(self, skip_samples: int = 0) -> None:
        self._skip_samples = skip_samples
        self._skip_bytes = skip_samples * 2
        self._pcm = bytearray()
        self._words: list[Word] = []
        self.samples = 0
        """How many were given, those that are skipped included."""

    def push(self, pcm: bytes, words: tuple[Word, ...] = ()) -> list[Frame]:
        """``words`` have their times from the start of the segment."""
        self.samples += len(pcm) // 2
        self._words += [word for word in words if word.end_sample > self._skip_samples]
        if self._skip_bytes:
            skipped = min(self._skip_bytes, len(pcm))
            self._skip_bytes -= skipped
            pcm = pcm[skipped:]
        self._pcm += pcm
        count = max(0, (len(self._pcm) - 1) // FRAME_BYTES)
        frames = [
            Frame(bytes(self._pcm[start : start + FRAME_BYTES])) for start in range(0, count * FRAME_BYTES, FRAME_BYTES)
        ]
        del self._pcm[: count * FRAME_BYTES]
        if frames and self._words:
            frames[0] = replace(frames[0], words=self._take_words())
        return frames

    def finish(self) -> Frame:
        """The last frame, padded with silence; without audio where none was kept back."""
        pcm = bytes(self._pcm)
        self._pcm.clear()
        if not pcm:
            return Frame(b"", self._take_words())
        missing = FRAME_BYTES - len(pcm)
        return Frame(pcm + bytes(missing), self._take_words(), len(pcm) // 2 if missing else None)

    def _take_words(self) -> tuple[Word, ...]:
        words, self._words = tuple(self._words), []
        return words


class TextFeed:
    """The text of one segment, handed on in pieces while it still comes.

    A short text is one piece. A long one is cut as engines cut a long piece, wherever it came in two: what is spoken
    depends on the text alone, and so the same text gives the same samples.
    """

    def __init__(self) -> None:
        self._text = ""
        self._complete = False
        self._changed = asyncio.Event()
        self._handed_chars = 0
        self.starts: list[int] = []
        """Where in the segment each piece that was handed on begins, in characters."""
        self.waited_s = 0.0
        """How long the reader waited for text."""

    @property
    def chars(self) -> int:
        return self._handed_chars + len(self._text)

    @property
    def complete(self) -> bool:
        return self._complete

    def add(self, text: str) -> None:
        self._text += text
        self._changed.set()

    def flush(self) -> None:
        """No more text comes."""
        self._complete = True
        self._changed.set()

    async def pieces(self) -> AsyncGenerator[str]:
        loop = asyncio.get_running_loop()
        while True:
            while len(self._text) > PART_CHARS:
                yield self._take(len(next(parts_of(self._text)).text))
            if self._complete:
                break
            began_at = loop.time()
            self._changed.clear()
            await self._changed.wait()
            self.waited_s += loop.time() - began_at
        if self._text:
            yield self._take(len(self._text))

    def _take(self, length: int) -> str:
        piece, self._text = self._text[:length], self._text[length:]
        self.starts.append(self._handed_chars)
        self._handed_chars += length
        return piece
