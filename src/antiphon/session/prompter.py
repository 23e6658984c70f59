"""What the voice of a reply is about to say, told to the client once it may know."""

from __future__ import annotations

from collections.abc import Callable


class Prompter:
    """Clauses as they are handed to the voice, and whose voice it is. Nothing is told before ``let_out``.

    ``voice`` is called before the first clause that it speaks, and may be called again for one that speaks already.
    """

    def __init__(self, tell_voice: Callable[[str], None], tell_clause: Callable[[str], None]) -> None:
        self._tell_voice = tell_voice
        self._tell_clause = tell_clause
        self._let_out = False
        self._voice: str | None = None
        self._clauses: list[str] = []
        """Those that wait to be told."""

    def voice(self, name: str) -> None:
        if name == self._voice:
            return
        self._voice = name
        if self._let_out:
            self._tell_voice(name)

    def clause(self, text: str) -> None:
        if self._let_out:
            self._tell_clause(text)
        else:
            self._clauses.append(text)

    def let_out(self) -> None:
        """The reply is committed. Of the voices that were tried while it was prepared only the last one speaks."""
        self._let_out = True
        if self._voice is not None:
            self._tell_voice(self._voice)
        waiting, self._clauses = self._clauses, []
        for text in waiting:
            self._tell_clause(text)
