"""By which names and addresses other devices of the local network reach this machine."""

from __future__ import annotations

import ipaddress
import socket

import psutil


def addresses() -> list[str]:
    """The IPv4 addresses of the interfaces that are up, but for those that lead nowhere else."""
    stats = psutil.net_if_stats()
    found = [
        entry.address
        for interface, entries in psutil.net_if_addrs().items()
        if interface in stats and stats[interface].isup
        for entry in entries
        if entry.family is socket.AF_INET
    ]
    usable = (ipaddress.ip_address(address) for address in found)
    return [str(address) for address in usable if not address.is_loopback and not address.is_link_local]


def names() -> list[str]:
    """All names and addresses of this machine, those of its own among them."""
    host = socket.gethostname()
    hosts = ["localhost", host, f"{host}.local"] if "." not in host else ["localhost", host]
    return [*hosts, "127.0.0.1", "::1", *addresses()]


def urls_of(url: str, host: str) -> list[str]:
    """Where other devices find a server that listens on ``host`` and calls itself ``url``; none where they do not."""
    if host not in ("0.0.0.0", "::", ""):
        return []
    scheme, _, rest = url.partition("://")
    port = rest.rpartition(":")[2]
    return [f"{scheme}://{address}:{port}" for address in addresses()]
