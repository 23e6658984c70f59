"""A certificate of our own, so that a browser on another device gives the page a microphone."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from cryptography import x509

VALID_DAYS = 397
"""Browsers take no certificate that is valid for longer than 398 days."""

RENEW_DAYS = 14
"""One that ends sooner than this is made anew."""

CERTIFICATE = "self-signed.pem"
KEY = "self-signed.key.pem"


def self_signed(folder: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """The paths of a certificate for ``names`` (hosts and addresses) and of its key, which only this user may read.

    The one in ``folder`` is taken as long as it is for all of them, so that a device that was told to trust it goes on
    to. Raises ConfigError.
    """
    try:
        import cryptography  # noqa: F401
    except ImportError as error:
        raise ConfigError("--tls self-signed needs the package cryptography: pip install 'antiphon[webrtc]'") from error
    certificate, key = folder / CERTIFICATE, folder / KEY
    try:
        if not _serves(certificate, key, names):
            _make(folder, certificate, key, names)
    except OSError as error:
        raise ConfigError(f"the certificate cannot be kept in {folder}: {error.strerror}") from error
    return certificate, key


def _serves(certificate: Path, key: Path, names: Sequence[str]) -> bool:
    from cryptography import x509

    if not certificate.is_file() or not key.is_file():
        return False
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return left > datetime.timedelta(days=RENEW_DAYS) and all(_general_name(name) in listed for name in names)


def _make(folder: Path, certificate: Path, key: Path, names: Sequence[str]) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Antiphon")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))  # for devices whose clock is behind
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(private, hashes.SHA256())
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    encoded = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key.unlink(missing_ok=True)  # whatever its mode was
    with os.fdopen(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(encoded)
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))


def _general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
