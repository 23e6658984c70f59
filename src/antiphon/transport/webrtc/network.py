"""How a server is reached over WebRTC: its addresses, its ports, and the servers that help behind firewalls."""

from __future__ import annotations

import ipaddress
import itertools
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

from antiphon.errors import ConfigError

_SERVER = re.compile(
    r"(?P<scheme>stun|turn|turns):(?:(?P<user>[^:@]*):(?P<password>[^@]*)@)?"
    r"(?P<host>\[[0-9a-fA-F:]+\]|[^:?@\[\]]+)(?::(?P<port>\d{1,5}))?(?:\?transport=(?P<transport>udp|tcp))?"
)
_DEFAULT_PORTS = {"stun": 3478, "turn": 3478, "turns": 5349}

_INTERNAL_INTERFACES = ("docker", "br-", "veth", "virbr", "cni", "flannel", "cali", "vmnet")
"""Names of interfaces begin so that lead to containers and virtual machines of this machine alone."""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN server, which tells our public address, or a TURN server, which relays."""

    scheme: Literal["stun", "turn", "turns"]
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    transport: Literal["udp", "tcp"] = "udp"

    @property
    def relays(self) -> bool:
        return self.scheme != "stun"

    @classmethod
    def parse(cls, url: str) -> IceServer:
        """Reads ``stun:HOST[:PORT]`` or ``turn[s]:USER:PASSWORD@HOST[:PORT][?transport=tcp]``. Raises ConfigError."""
        match = _SERVER.fullmatch(url)
        if match is None:
            raise ConfigError(
                f"'{url}' names no ICE server: write stun:HOST:PORT, or turn:USER:PASSWORD@HOST:PORT?transport=udp"
            )
        scheme = match["scheme"]
        if scheme != "stun" and match["user"] is None:
            raise ConfigError(f"'{url}' lacks the user and password of the TURN server: turn:USER:PASSWORD@HOST:PORT")
        port = int(match["port"] or _DEFAULT_PORTS[scheme])
        if not 0 < port < 65_536:
            raise ConfigError(f"'{url}': {port} is no port")
        return cls(
            scheme=scheme,  # type: ignore[arg-type]  # the pattern allows no other
            host=match["host"].strip("[]"),
            port=port,
            username=unquote(match["user"]) if match["user"] is not None else None,
            password=unquote(match["password"]) if match["password"] is not None else None,
            transport="tcp" if scheme == "turns" else match["transport"] or "udp",  # type: ignore[arg-type]
        )


@dataclass(slots=True)
class Ports:
    """A range of UDP ports, both ends included. Each call of ``around`` starts behind the port that was taken last."""

    low: int
    high: int
    _next: int = field(init=False)

    def __post_init__(self) -> None:
        self._next = self.low

    def around(self) -> Iterator[int]:
        """Each port once."""
        first = self._next
        for step in range(self.high - self.low + 1):
            port = self.low + (first - self.low + step) % (self.high - self.low + 1)
            self._next = port + 1 if port < self.high else self.low
            yield port

    def split(self, parts: int) -> list[Ports]:
        """The range in so many parts, none of which is smaller than another by more than a port. Raises ConfigError."""
        count = self.high - self.low + 1
        if count < parts:
            raise ConfigError(f"{self.low}-{self.high} are too few UDP ports for {parts} processes")
        ends = [self.low + count * part // parts for part in range(parts + 1)]
        return [Ports(low, high - 1) for low, high in itertools.pairwise(ends)]

    def __str__(self) -> str:
        return f"{self.low}-{self.high}"

    @classmethod
    def parse(cls, text: str) -> Ports:
        """Reads ``LOW-HIGH``. Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text.strip())
        if match is None or not 1024 <= int(match[1]) <= int(match[2]) <= 65_535:
            raise ConfigError(f"'{text}' is no range of UDP ports: write LOW-HIGH, from 1024 to 65535")
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Network:
    listening_on: str = "127.0.0.1"
    """Where the HTTP server listens: UDP is offered on the same interfaces."""
    ice_servers: tuple[IceServer, ...] = ()
    ports: Ports | None = None
    """Where UDP ports are taken from; None for any that is free."""
    public_address: str | None = None
    """The address by which others reach this machine, where a router translates it one to one."""
    relay_only: bool = False
    """Offer no address of this machine, only those of the TURN servers."""

    def check(self) -> None:
        """Raises ConfigError where no call can be taken, as others have all UDP ports of the range."""
        if self.ports is None or self.relay_only:
            return
        addresses = self.addresses()
        if not any(_is_free(address, port) for address in addresses for port in self.ports.around()):
            raise ConfigError(
                f"--webrtc-ports: no UDP port of {self.ports} is free on {', '.join(addresses)}; name others, or end "
                "what has them"
            )

    def addresses(self) -> list[str]:
        """The addresses of this machine to offer, the likeliest first."""
        host = "::1" if self.listening_on == "localhost" else self.listening_on
        try:
            listening = ipaddress.ip_address(host)
        except ValueError:
            listening = None
        if listening is not None and not listening.is_unspecified and not listening.is_loopback:
            return [str(listening)]
        found = list(_interface_addresses())
        if listening is not None and listening.is_unspecified:
            return [address for address in found if not ipaddress.ip_address(address).is_loopback] or found
        # A browser on this very machine names its addresses in the network, not the loopback one.
        return found


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def _interface_addresses() -> Iterator[str]:
    import ifaddr

    loopback: list[str] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            address = ip.ip if isinstance(ip.ip, str) else ip.ip[0]
            parsed = ipaddress.ip_address(address)
            if parsed.is_loopback:
                loopback.append(address)
            elif not parsed.is_link_local and not adapter.name.startswith(_INTERNAL_INTERFACES):
                yield address
    yield from loopback
