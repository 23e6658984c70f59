"""Wait-k: when a brain that reads the user's words while they come may write words of its own.

The fixed policy of simultaneous translation (Ma et al., "STACL", ACL 2019): reading and writing take turns, and writing
stays ``k`` words behind. Here a brain may also have nothing to say yet: then it yields, and reads ``k`` more words.
"""

from __future__ import annotations

DEFAULT_K = 7
DEFAULT_LEAD_WORDS = 40


class WaitK:
    """Counts words, of one turn of the user at a time. The source is closed while nobody speaks."""

    def __init__(self, k: int = DEFAULT_K, lead_words: int = DEFAULT_LEAD_WORDS) -> None:
        """While the source is open no more than ``lead_words`` are written on end, however many have been read."""
        if k < 1 or lead_words < 1:
            raise ValueError("k and lead_words are 1 or more")
        self._k = k
        self._lead_words = lead_words
        self._read = 0
        self._written = 0
        self.open = False

    def begin(self) -> None:
        """A new turn: its words count from none."""
        self._read = self._written = 0
        self.open = True

    def reopen(self) -> None:
        """The turn that was closed goes on."""
        self.open = True

    def close(self) -> None:
        """No more words come: writing runs to its end."""
        self.open = False

    def read(self, words: int) -> None:
        """So many words have come; fewer than none where some were taken back."""
        self._read = max(0, self._read + words)
        self._written = max(self._written, self._read - self._k - self._lead_words + 1)

    def may_write(self) -> bool:
        """Whether the next word may be written now. Otherwise it waits for one to read, or for the source to close."""
        return not self.open or self._read >= self._k + self._written

    def wrote(self, words: int) -> None:
        self._written += words

    def yielded(self) -> None:
        """It ended with the source open: it goes on, in the same turn, when it has read ``k`` more words."""
        self._written = max(self._written, self._read)

    @property
    def written(self) -> int:
        return self._written

    def rewind(self, written: int) -> None:
        """What was written since there were ``written`` words does not count: it was thrown away."""
        self._written = min(self._written, written)
        self.read(0)
