"""The worker's side of the registry: it makes itself known for as long as it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import structlog

from antiphon.voices.redis_registry import HEARTBEAT_S, TTL_S, connect, redis_errors
from antiphon.voices.registry import Announcement, Backoff, is_redis, redis_names, shown

log = structlog.get_logger(__name__)


async def announce(
    registry_url: str,
    record: Callable[[], Announcement],
    *,
    every_s: float = HEARTBEAT_S,
    ttl_s: float = TTL_S,
) -> None:
    """Tells Redis of a worker until cancelled, and takes it back then. ``record`` is asked anew for each heartbeat.

    With a registry that finds workers by itself (static, dns) it returns at once. Raises ConfigError for a URL that is
    no good, and nothing else: a Redis that is down is logged, and tried again.
    """
    if not is_redis(registry_url):
        return
    url, prefix, channel = redis_names(registry_url)
    client = connect(url)
    backoff = Backoff()
    told: tuple[str, Announcement] | None = None
    try:
        while True:
            announcement = record()
            key = f"{prefix}{announcement.instance or announcement.address}"
            try:
                await client.set(key, announcement.to_json(), px=round(ttl_s * 1000))
                if told != (key, announcement) or not backoff.begins:
                    await client.publish(channel, announcement.address)
            except redis_errors() as error:
                if backoff.begins:
                    log.warning("registry_unreachable", registry=shown(url), error=str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            if not backoff.begins:
                log.info("registry_back", registry=shown(url))
            backoff.reset()
            told = (key, announcement)
            await asyncio.sleep(every_s)
    finally:
        if told is not None:
            with suppress(*redis_errors()):  # its key ends by itself
                await client.delete(told[0])
                await client.publish(channel, told[1].address)
        await client.aclose()
