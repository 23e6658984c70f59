"""What a configuration says of TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import typer

from antiphon.apps import lan
from antiphon.apps.config import Config
from antiphon.apps.self_signed import CERTIFICATE, self_signed
from antiphon.errors import ConfigError


def own_certificate(config: Config) -> Path | None:
    """What clients have to trust of a server that makes its certificate itself."""
    return None if config.tls is None else _folder() / CERTIFICATE


def _folder() -> Path:
    return Path(typer.get_app_dir("antiphon")) / "tls"


def tls_of(config: Config) -> ssl.SSLContext | None:
    """The server's side of TLS; None without. Raises ConfigError."""
    certificate, key = config.tls_cert, config.tls_key
    if config.tls is not None:
        certificate, key = self_signed(_folder(), lan.names())
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(f"--tls-cert {certificate} and --tls-key {key}: {error}") from error
    return context
