"""Workers by way of Redis: a key for each, which its heartbeats keep alive.

The keys are the truth and are listed again and again. Messages on a channel only wake the listener early; one that is
lost costs the time to the next listing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog

from antiphon.errors import ConfigError
from antiphon.voices.registry import Announcement, Backoff, redis_names, shown

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

HEARTBEAT_S = 5.0
TTL_S = 20
"""A worker whose heartbeats stay away for so long is no longer listed."""

LIST_EVERY_S = 5.0
"""How often the keys are listed where no message wakes the listener."""

TIMEOUT_S = 2.0
"""How long Redis may take to answer."""


def connect(url: str) -> Redis:
    """A client. Raises ConfigError when the library is missing or the URL is wrong."""
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise ConfigError("the Redis registry needs its library: pip install 'antiphon[redis]'") from error
    try:
        return Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
    except ValueError as error:
        raise ConfigError(f"the registry {shown(url)}: {error}") from error


def redis_errors() -> tuple[type[Exception], ...]:
    """What a Redis that is down raises."""
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError)


class RedisRegistry:
    def __init__(self, url: str, *, every_s: float = LIST_EVERY_S, ttl_s: float = TTL_S) -> None:
        self._url, self._prefix, self._channel = redis_names(url)
        self._every_s = every_s
        self._ttl_s = ttl_s
        self._client = connect(self._url)

    async def watch(self) -> AsyncGenerator[frozenset[Announcement]]:
        listing = _Listing(self._ttl_s)
        backoff = Backoff()
        try:
            while True:
                try:
                    async with self._client.pubsub(ignore_subscribe_messages=True) as messages:
                        await messages.subscribe(self._channel)
                        async with aclosing(self._listings(messages)) as listings:
                            async for found in listings:
                                if not backoff.begins:
                                    log.info("registry_back", registry=shown(self._url))
                                backoff.reset()
                                if listing.changes(found, asyncio.get_running_loop().time()):
                                    yield listing.workers
                except redis_errors() as error:
                    listing.lost(asyncio.get_running_loop().time())
                    if backoff.begins:
                        log.warning("registry_unreachable", registry=shown(self._url), error=str(error))
                    await asyncio.sleep(backoff.next_s())
        finally:
            await self._client.aclose()

    async def _listings(self, messages: Any) -> AsyncGenerator[frozenset[Announcement]]:
        while True:
            yield await self._list()
            # Several messages at once are one wake-up.
            if await messages.get_message(timeout=self._every_s) is not None:
                while await messages.get_message(timeout=0) is not None:
                    pass

    async def _list(self) -> frozenset[Announcement]:
        keys = [key async for key in self._client.scan_iter(match=f"{self._prefix}*", count=1000)]
        values = await self._client.mget(keys) if keys else []
        found = set()
        for key, value in zip(keys, values, strict=True):
            if value is None:  # it expired since it was listed
                continue
            try:
                found.add(Announcement.from_json(value))
            except ValueError as error:
                log.warning("registry_entry_unreadable", key=str(key), error=str(error))
        return frozenset(found)


class _Listing:
    """The workers as they are told on.

    A Redis that comes back may have forgotten them all. So for the time of one TTL after an outage none is dropped:
    by then each has announced itself again, if it lives.
    """

    def __init__(self, ttl_s: float) -> None:
        self.workers: frozenset[Announcement] = frozenset()
        self._ttl_s = ttl_s
        self._told = False
        self._lost_at: float | None = None
        self._back_at: float | None = None

    def lost(self, now: float) -> None:
        self._lost_at = now
        self._back_at = None

    def changes(self, found: frozenset[Announcement], now: float) -> bool:
        """Takes a listing; true if there is something to tell."""
        if self._lost_at is not None and self._back_at is None:
            self._back_at = now
        if self._back_at is not None and now - self._back_at > self._ttl_s:
            self._lost_at = self._back_at = None
        if self._back_at is not None:
            addresses = {worker.address for worker in found}
            found |= {worker for worker in self.workers if worker.address not in addresses}
        changed = found != self.workers or not self._told
        self.workers, self._told = found, True
        return changed
