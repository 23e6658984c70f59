"""The address that a server listens on: taken at once, and told as a client would write it."""

from __future__ import annotations

import errno
import socket
import sys

from antiphon.apps.config import Config
from antiphon.errors import ConfigError

_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def bind(config: Config) -> socket.socket:
    """Takes the address at once, so that a port in use is told before the engines are loaded; listens to nobody yet."""
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"--host {config.host}: {error.strerror}") from error
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise cannot_listen(config, error) from error
    return listening


def base_url(listening: socket.socket, scheme: str) -> str:
    """As a client on this machine would write it."""
    address: tuple[str, int] = listening.getsockname()[:2]
    host, port = _ALL_ADDRESSES.get(address[0], address[0]), address[1]
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def cannot_listen(config: Config, error: OSError) -> ConfigError:
    """Why, in words that say what to do."""
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {config.port} is in use: choose another with --port, or --port 0 for a free one")
    if error.errno == errno.EACCES:
        return ConfigError(f"port {config.port} needs more rights: choose one from 1024 on with --port")
    return ConfigError(f"cannot listen on {config.host}:{config.port}: {error.strerror}")
