"""The clauses of one reply, on their way from the brain that writes them to the voice that says them."""

from __future__ import annotations

import asyncio
from collections import deque

from antiphon.core.clauses import Clause
from antiphon.core.pieces import is_whole, joined, may_join
from antiphon.core.shedding import Ahead

_MOST = 64
"""So many clauses may wait for the voice before the brain has to."""


class ClauseQueue:
    """Of a reply that is only prepared it gives the first clause that has a sound, and no more; or none at all."""

    def __init__(self, committed: asyncio.Event, ahead: Ahead) -> None:
        """``ahead``: whether a clause may be spoken before ``committed``."""
        self._committed = committed
        self._may_begin = ahead is Ahead.VOICE
        self._waiting: asyncio.Queue[Clause | None] = asyncio.Queue(_MOST)
        self._back: deque[Clause] = deque()
        """Those that were taken and came back."""
        self._over = False
        self.begun = False
        """One that has a sound was given."""

    async def put(self, clause: Clause | None) -> None:
        """None after the last."""
        await self._waiting.put(clause)

    @property
    def _may_go_on(self) -> bool:
        return self._committed.is_set() or (self._may_begin and not self.begun)

    async def get(self) -> Clause | None:
        """Waits for the next; None after the last. Cancelling it loses none."""
        if not self._may_go_on:
            await self._committed.wait()
        if self._back or self._over:
            return self._given(self._back.popleft() if self._back else None)
        return self._given(await self._waiting.get())

    def take(self) -> Clause | None:
        """The next if it is at hand."""
        if not self._may_go_on or self._over:
            return None
        if self._back:
            return self._given(self._back.popleft())
        return None if self._waiting.empty() else self._given(self._waiting.get_nowait())

    def put_back(self, clause: Clause) -> None:
        """It comes next again."""
        self._back.appendleft(clause)

    def _given(self, clause: Clause | None) -> Clause | None:
        if clause is None:
            self._over = True
        elif clause.spoken:
            self.begun = True
        return clause

    async def grown(self, clause: Clause, limit_chars: int, wait_s: float) -> Clause:
        """The clause with those after it that come within ``wait_s`` and fit. Cancelling it loses none of these."""
        until = asyncio.get_running_loop().time() + wait_s
        whole, taken = clause, list[Clause]()
        try:
            while len(whole.spoken) < limit_chars and not is_whole(whole):
                other = self.take() or await self._awaited(until)
                if other is None:
                    break
                if not may_join(whole, other, limit_chars):
                    self.put_back(other)
                    break
                taken.append(other)
                whole = joined(whole, other)
        except BaseException:
            for other in reversed(taken):
                self.put_back(other)
            raise
        return whole

    async def _awaited(self, until: float) -> Clause | None:
        if self._over or asyncio.get_running_loop().time() >= until:
            return None
        try:
            async with asyncio.timeout_at(until):
                return await self.get()
        except TimeoutError:
            return None
