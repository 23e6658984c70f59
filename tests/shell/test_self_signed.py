from __future__ import annotations

import builtins
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from antiphon.apps import self_signed as module
from antiphon.apps.self_signed import VALID_DAYS, self_signed
from antiphon.errors import ConfigError

NAMES = ["localhost", "my-laptop.local", "127.0.0.1", "::1", "192.0.2.7"]


def loaded(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_it_is_for_every_name_and_address(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path / "tls", NAMES)
    found = loaded(certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "my-laptop.local"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == NAMES[2:]
    left = found.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=VALID_DAYS - 1) < left <= timedelta(days=VALID_DAYS)
    ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)


def test_nobody_else_may_read_the_key(tmp_path: Path) -> None:
    _, key = self_signed(tmp_path / "tls", NAMES)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700


def test_it_is_kept_as_long_as_it_serves(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path, NAMES)
    first = certificate.read_bytes()
    self_signed(tmp_path, NAMES[:3])
    assert certificate.read_bytes() == first
    self_signed(tmp_path, [*NAMES, "192.0.2.8"])
    assert certificate.read_bytes() != first


def test_one_that_soon_ends_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VALID_DAYS", module.RENEW_DAYS)
    certificate, _ = self_signed(tmp_path, NAMES)
    first = certificate.read_bytes()
    monkeypatch.undo()
    self_signed(tmp_path, NAMES)
    assert certificate.read_bytes() != first


def test_one_that_is_broken_is_made_anew(tmp_path: Path) -> None:
    certificate, _ = self_signed(tmp_path, NAMES)
    certificate.write_text("nothing")
    self_signed(tmp_path, NAMES)
    assert loaded(certificate)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be kept in"):
        self_signed(tmp_path / "file" / "tls", NAMES)


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def importing(name: str, *rest: Any, **more: Any) -> Any:
        if name == "cryptography":
            raise ImportError(name)
        return usual(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", importing)
    with pytest.raises(ConfigError, match=r"antiphon\[webrtc\]"):
        self_signed(tmp_path, NAMES)
