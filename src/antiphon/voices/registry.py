"""Where the workers are: a list that was given, Redis, or a name in DNS.

A registry says which workers there are. How they stand, what they serve and how much they have to do is asked of
themselves, so a registry that is down costs nothing but news.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import Protocol
from urllib.parse import parse_qs, urlsplit

import orjson
import structlog

from antiphon.errors import ConfigError

log = structlog.get_logger(__name__)

RESOLVE_S = 5.0
"""How often a name is resolved again."""

RETRY_S = (0.25, 5.0)
"""The first wait after a failure, which doubles, and the longest."""


_ADDRESS = re.compile(r"unix:.+|(\[[0-9a-fA-F:.%]+\]|[^\s:/]+):[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class Announcement:
    """A worker that there is."""

    address: str
    """As gRPC writes it: ``unix:///run/tts.sock``, ``10.0.0.7:7001``."""
    stage: str = ""
    """``tts``, ``asr`` or ``llm``; empty where the registry does not know."""
    instance: str = ""
    """The process, as its ``GetCapabilities`` names it; empty where the registry does not know."""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> Announcement:
        """Raises ValueError. Fields of later versions are left out."""
        fields = orjson.loads(data)
        if not isinstance(fields, dict) or not isinstance(fields.get("address"), str):
            raise ValueError("an announcement is an object with an address")
        return cls(fields["address"], str(fields.get("stage", "")), str(fields.get("instance", "")))


class Registry(Protocol):
    def watch(self) -> AsyncGenerator[frozenset[Announcement]]:
        """All workers that there are: at first as soon as they are known, then again whenever they change.

        It ends where nothing will change any more. It raises nothing: what goes wrong is logged, and tried again.
        """
        ...


class StaticRegistry:
    """Workers at addresses that were given."""

    def __init__(self, addresses: tuple[str, ...]) -> None:
        self._workers = frozenset(Announcement(address) for address in addresses)

    async def watch(self) -> AsyncGenerator[frozenset[Announcement]]:
        yield self._workers


class DnsRegistry:
    """Workers at all addresses of a name, such as that of a headless service of Kubernetes."""

    def __init__(self, host: str, port: int, *, every_s: float = RESOLVE_S) -> None:
        self._host = host
        self._port = port
        self._every_s = every_s

    async def watch(self) -> AsyncGenerator[frozenset[Announcement]]:
        backoff = Backoff()
        known: frozenset[Announcement] | None = None
        while True:
            try:
                found = await self._resolve()
            except OSError as error:
                if backoff.begins:
                    log.warning("registry_unreachable", registry=f"dns://{self._host}", error=str(error))
                await asyncio.sleep(backoff.next_s())
                continue
            backoff.reset()
            if found != known:
                known = found
                yield found
            await asyncio.sleep(self._every_s)

    async def _resolve(self) -> frozenset[Announcement]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        hosts = {(family, address[0]) for family, _, _, _, address in found}
        return frozenset(
            Announcement(f"[{host}]:{self._port}" if family == socket.AF_INET6 else f"{host}:{self._port}")
            for family, host in hosts
        )


class Backoff:
    """How long to wait before the next try."""

    def __init__(self) -> None:
        self._failures = 0

    @property
    def begins(self) -> bool:
        """Nothing failed since the last success: what fails now is worth a line in the log."""
        return self._failures == 0

    def next_s(self) -> float:
        first_s, longest_s = RETRY_S
        self._failures += 1
        return min(longest_s, first_s * 2.0 ** min(self._failures - 1, 16))

    def reset(self) -> None:
        self._failures = 0


def open_registry(url: str) -> Registry:
    """By its URL: ``redis://HOST:PORT/DB?prefix=antiphon`` (also ``rediss``, ``unix+redis``), ``dns://NAME:PORT``, or
    addresses with commas between.

    Raises ConfigError.
    """
    scheme = urlsplit(url).scheme
    if is_redis(url):
        from antiphon.voices.redis_registry import RedisRegistry

        return RedisRegistry(url)
    if scheme == "dns":
        try:
            host, port = urlsplit(url).hostname, urlsplit(url).port
        except ValueError as error:
            raise ConfigError(f"the registry {url}: {error}") from error
        if not host or port is None:
            raise ConfigError(f"the registry {url} needs a name and a port: dns://NAME:PORT")
        return DnsRegistry(host, port)
    addresses = tuple(part.strip() for part in url.removeprefix("static://").split(",") if part.strip())
    if not addresses:
        raise ConfigError("a registry without addresses: give HOST:PORT or unix:///PATH, redis://... or dns://...")
    if wrong := [address for address in addresses if not is_address(address)]:
        raise ConfigError(f"the registry {wrong[0]}: give HOST:PORT or unix:///PATH, redis://... or dns://...")
    return StaticRegistry(addresses)


def is_address(text: str) -> bool:
    """Whether it is written as a worker's address is: ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:///PATH``."""
    return _ADDRESS.fullmatch(text) is not None


def is_redis(url: str) -> bool:
    return urlsplit(url).scheme in ("redis", "rediss", "unix+redis")


def redis_names(url: str) -> tuple[str, str, str]:
    """The URL as the Redis client takes it, the pattern's prefix of the workers' keys, and the channel of wake-ups."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    prefix = query.pop("prefix", ["antiphon"])[0]
    kept = "&".join(f"{key}={value}" for key, values in query.items() for value in values)
    scheme = "unix" if parts.scheme == "unix+redis" else parts.scheme
    return parts._replace(scheme=scheme, query=kept).geturl(), f"{prefix}:worker:", f"{prefix}:workers"


def shown(url: str) -> str:
    """The URL without its password, for the log."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
