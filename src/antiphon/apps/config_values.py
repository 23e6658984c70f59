"""Values of settings, as people write them."""

from __future__ import annotations

import ipaddress
import math

_QUIETEST_LUFS, _LOUDEST_LUFS = -40.0, -10.0


def loudness_of(value: object) -> float | None:
    """LUFS as people write them; None for "off", which YAML reads as false. Raises ValueError."""
    if value is False or value == "off":
        return None
    try:
        wanted = float(str(value))
    except ValueError:
        wanted = math.nan
    if not _QUIETEST_LUFS <= wanted <= _LOUDEST_LUFS:
        raise ValueError(f"give LUFS from {_QUIETEST_LUFS:.0f} to {_LOUDEST_LUFS:.0f}, or off")
    return wanted


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(text: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
