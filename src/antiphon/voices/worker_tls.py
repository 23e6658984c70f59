"""TLS to workers that run elsewhere, and why a connection to one does not come about, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import grpc

from antiphon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class WorkerTls:
    """PEM files. Without ``ca`` the authorities count that gRPC brings along."""

    ca: Path | None = None
    cert: Path | None = None
    """The chain that we show, with its ``key``: workers with ``--tls-ca`` ask for it."""
    key: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises ConfigError for files that cannot be used."""
        ca = _read("--worker-ca", self.ca, b"CERTIFICATE")
        key = _read("--worker-key", self.key, b"PRIVATE KEY")
        return grpc.ssl_channel_credentials(ca, key, _read("--worker-cert", self.cert, b"CERTIFICATE"))


def _read(option: str, path: Path | None, what: bytes) -> bytes | None:
    """gRPC says nothing of a file that it cannot use; its connections fail."""
    if path is None:
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{option} {path}: {error.strerror}") from error
    if b"-----BEGIN " not in data or what not in data:
        raise ConfigError(f"{option} {path}: there is no {what.decode().lower()} in it (PEM)")
    return data


@dataclass(frozen=True, slots=True)
class Trouble:
    """``lasting``: it is not for time to mend."""

    reason: str
    lasting: bool = False


_CLOSED = ("Socket closed", "Connection reset")
_HANDSHAKE = {
    "certificate has expired": "its certificate has expired: start it with a new one",
    "certificate is not yet valid": "its certificate is not valid yet: see whether the clocks of both machines agree",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not signed by an authority that --worker-ca names",
    "Hostname Verification Check failed": "its certificate is not for this address: name the worker as its certificate "
    "does",
    "WRONG_VERSION_NUMBER": "it speaks no TLS: start it with --tls-cert and --tls-key, or leave --worker-ca out",
}


def trouble_of(details: str, tls: WorkerTls | None) -> Trouble:
    """Of gRPC's own words for a connection that failed."""
    for sign, reason in _HANDSHAKE.items():
        if sign in details:
            return Trouble(reason, lasting=True)
    last = details.rpartition("last error: ")[2] or details
    if not any(sign in details for sign in _CLOSED):
        return Trouble(last)
    if tls is None:
        return Trouble(f"it closed the connection at once ({last}): if it speaks TLS, give --worker-ca")
    if tls.cert is None:
        return Trouble(
            f"it closed the connection at once ({last}): if it was started with --tls-ca it wants a certificate, "
            "--worker-cert and --worker-key"
        )
    return Trouble(
        f"it closed the connection at once ({last}): its --tls-ca may not be that of --worker-cert, or that has expired"
    )
