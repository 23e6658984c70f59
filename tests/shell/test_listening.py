"""Addresses to listen on, and why some cannot be."""

from __future__ import annotations

import socket

import pytest

from antiphon.apps.config import Config
from antiphon.apps.listening import base_url, bind
from antiphon.errors import ConfigError


@pytest.mark.parametrize(
    ("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")]
)
def test_an_address_is_told_as_a_client_writes_it(host: str, shown: str) -> None:
    with bind(Config(host=host, port=0, insecure=True)) as listening:
        port = listening.getsockname()[1]
        assert base_url(listening, "https") == f"https://{shown}:{port}"


def test_an_address_of_ipv6_has_brackets() -> None:
    with socket.socket(socket.AF_INET6) as listening:
        try:
            listening.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        assert base_url(listening, "http") == f"http://[::1]:{listening.getsockname()[1]}"


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with bind(Config(port=0)) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use: choose another with --port"):
            bind(Config(port=port))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.7:0"):
        bind(Config(host="192.0.2.7", port=0, insecure=True))
    with pytest.raises(ConfigError, match=r"--host nowhere\.invalid"):
        bind(Config(host="nowhere.invalid", port=0, insecure=True))
