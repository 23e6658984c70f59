"""Addresses, ports and ICE servers as they are written in the configuration."""

from __future__ import annotations

import ipaddress
import socket
from itertools import islice
from unittest.mock import patch

import pytest

from antiphon.errors import ConfigError
from antiphon.transport.webrtc.network import IceServer, Network, Ports


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("stun:stun.example", IceServer("stun", "stun.example", 3478)),
        ("stun:[2001:db8::1]:19302", IceServer("stun", "2001:db8::1", 19302)),
        ("turn:ada:s3cret@turn.example", IceServer("turn", "turn.example", 3478, "ada", "s3cret")),
        (
            "turn:1700000000%3Aada:a%40b@10.0.0.1:80?transport=tcp",
            IceServer("turn", "10.0.0.1", 80, "1700000000:ada", "a@b", "tcp"),
        ),
        ("turns:ada:s@turn.example", IceServer("turns", "turn.example", 5349, "ada", "s", "tcp")),
    ],
)
def test_an_ice_server_is_read(url: str, server: IceServer) -> None:
    assert IceServer.parse(url) == server


@pytest.mark.parametrize(
    "url", ["", "stun:", "http://stun.example", "turn:turn.example", "stun:host:70000", "turn:a:b@host?transport=sctp"]
)
def test_what_is_no_ice_server_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        IceServer.parse(url)


def test_ports_are_taken_in_turn() -> None:
    ports = Ports.parse("50000-50002")
    assert list(ports.around()) == [50000, 50001, 50002]
    assert list(islice(ports.around(), 2)) == [50000, 50001]
    assert list(ports.around()) == [50002, 50000, 50001]


def test_ports_are_split_among_processes() -> None:
    ports = Ports.parse("50000-50009")
    assert [str(part) for part in ports.split(1)] == ["50000-50009"]
    assert [str(part) for part in ports.split(3)] == ["50000-50002", "50003-50005", "50006-50009"]
    with pytest.raises(ConfigError, match="too few UDP ports for 11 processes"):
        ports.split(11)


def test_ports_that_others_have_are_refused_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.2", 0))
        taken = other.getsockname()[1]
        network = Network(listening_on="127.0.0.1", ports=Ports(taken, taken))
        network.check()
        with patch.object(Network, "addresses", return_value=["127.0.0.2"]):
            with pytest.raises(ConfigError, match=f"no UDP port of {taken}-{taken} is free on 127.0.0.2; name others"):
                network.check()
            Network(ports=Ports(taken - 1, taken)).check()
            Network(ports=Ports(taken, taken), relay_only=True).check()
            Network().check()


@pytest.mark.parametrize("text", ["", "50000", "50002-50000", "80-90", "50000-70000", "a-b"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="LOW-HIGH"):
        Ports.parse(text)


def test_a_server_on_one_address_offers_that_one() -> None:
    assert Network(listening_on="192.0.2.7").addresses() == ["192.0.2.7"]


def test_a_server_for_all_offers_no_loopback_address_unless_there_is_no_other() -> None:
    found = [ipaddress.ip_address(address) for address in Network(listening_on="0.0.0.0").addresses()]
    assert found
    assert len({address.is_loopback for address in found}) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_for_this_machine_can_be_reached_over_loopback_too(host: str) -> None:
    assert "127.0.0.1" in Network(listening_on=host).addresses()
