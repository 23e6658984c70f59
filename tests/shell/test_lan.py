from __future__ import annotations

import socket
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest

from antiphon.apps import lan

Address = namedtuple("Address", "family address")


@pytest.fixture
def interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "lo": [Address(socket.AF_INET, "127.0.0.1")],
        "wlan0": [Address(socket.AF_INET, "192.168.1.5"), Address(socket.AF_INET6, "fd00::5")],
        "eth0": [Address(socket.AF_INET, "10.0.0.5")],
        "usb0": [Address(socket.AF_INET, "169.254.3.4")],
    }
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: found)
    monkeypatch.setattr(psutil, "net_if_stats", lambda: {name: SimpleNamespace(isup=name != "eth0") for name in found})
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")


@pytest.mark.usefixtures("interfaces")
def test_addresses_are_those_that_others_can_reach() -> None:
    assert lan.addresses() == ["192.168.1.5"]


@pytest.mark.usefixtures("interfaces")
def test_a_certificate_names_this_machine_in_every_way() -> None:
    assert lan.names() == ["localhost", "laptop", "laptop.local", "127.0.0.1", "::1", "192.168.1.5"]


@pytest.mark.usefixtures("interfaces")
def test_only_who_listens_to_all_is_found_by_others() -> None:
    assert lan.urls_of("https://127.0.0.1:8080", "0.0.0.0") == ["https://192.168.1.5:8080"]
    assert lan.urls_of("https://[::1]:8443", "::") == ["https://192.168.1.5:8443"]
    assert lan.urls_of("https://127.0.0.1:8080", "127.0.0.1") == []
