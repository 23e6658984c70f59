"""ICE on real sockets: which addresses and ports are offered, and new paths under a connection that goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aioice
import pytest
from aioice import Candidate
from aiortc.rtcicetransport import RTCIceGatherer, RTCIceTransport

from antiphon.transport.webrtc.ice import IceConnection, use_ice
from antiphon.transport.webrtc.network import IceServer, Network, Ports

PATIENCE_S = 20.0


@asynccontextmanager
async def gathered(network: Network) -> AsyncIterator[IceConnection]:
    connection = IceConnection(network, controlling=False)
    try:
        await connection.gather_candidates()
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def one_address(monkeypatch: pytest.MonkeyPatch) -> str:
    """Of this machine, and no other."""
    monkeypatch.setattr(Network, "addresses", lambda self: ["127.0.0.2"])
    return "127.0.0.2"


async def test_ports_are_of_the_range_and_the_next_call_finds_others() -> None:
    ports = Ports(41_000, 41_063)
    network = Network(listening_on="127.0.0.1", ports=ports)
    async with gathered(network) as first, gathered(network) as second:
        taken = [candidate.port for connection in (first, second) for candidate in connection.local_candidates]
        assert len(taken) == len(set(taken))
        assert all(ports.low <= port <= ports.high for port in taken)


async def test_without_a_free_port_nothing_is_offered(one_address: str) -> None:
    network = Network(ports=Ports(41_070, 41_070))
    async with gathered(network) as first, gathered(network) as second:
        assert [candidate.port for candidate in first.local_candidates] == [41_070]
        assert second.local_candidates == []


async def test_behind_a_router_the_public_address_is_told(one_address: str) -> None:
    network = Network(public_address="203.0.113.5")
    async with gathered(network) as connection:
        (candidate,) = connection.local_candidates
        assert candidate.host == "203.0.113.5"
        assert one_address not in candidate.to_sdp()


async def test_an_ice_server_that_is_silent_does_not_hold_up_the_answer() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    network = Network(ice_servers=(IceServer("stun", "127.0.0.1", port),))
    connection = IceConnection(network, controlling=False)
    found = await connection.get_component_candidates(1, ["127.0.0.2"], timeout=0.2)
    assert [candidate.type for candidate in found] == ["host"]
    await connection.close()
    transport.close()


async def meet(ours: IceConnection, theirs: aioice.Connection) -> None:
    """Introduces two sides to each other and connects them."""
    for candidate in ours.local_candidates:
        await theirs.add_remote_candidate(candidate)
    await theirs.add_remote_candidate(None)
    theirs.remote_username, theirs.remote_password = ours.local_username, ours.local_password
    ours.remote_username, ours.remote_password = theirs.local_username, theirs.local_password


async def test_a_client_that_hides_its_address_is_found_by_its_own_checks() -> None:
    theirs = aioice.Connection(ice_controlling=True)
    await theirs.gather_candidates()
    async with gathered(Network(listening_on="0.0.0.0")) as ours:
        await meet(ours, theirs)
        hidden = theirs.local_candidates[0].to_sdp().replace(theirs.local_candidates[0].host, "0a1b2c.local")
        await ours.add_remote_candidate(Candidate.from_sdp(hidden))
        await ours.add_remote_candidate(None)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(ours.connect(), theirs.connect())
            await theirs.send(b"here I am")
            assert await ours.recv() == b"here I am"
        await theirs.close()


async def test_a_client_that_moves_is_followed() -> None:
    before, after = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=True)
    await before.gather_candidates()
    await after.gather_candidates()
    async with gathered(Network(listening_on="0.0.0.0")) as ours, asyncio.timeout(PATIENCE_S):
        await meet(ours, before)
        await asyncio.gather(ours.connect(), before.connect())
        first_username = ours.local_username
        ours.begin_restart()
        assert ours.local_username != first_username
        await ours.send(b"on the old way")
        assert await before.recv() == b"on the old way"
        await before.close()
        await meet(ours, after)
        await asyncio.gather(ours.restart(after.local_username, after.local_password), after.connect())
        await ours.send(b"on the new way")
        assert await after.recv() == b"on the new way"
        await after.send(b"and back")
        assert await ours.recv() == b"and back"
        await after.close()


async def test_a_move_that_is_called_off_changes_nothing() -> None:
    theirs = aioice.Connection(ice_controlling=True)
    await theirs.gather_candidates()
    async with gathered(Network(listening_on="0.0.0.0")) as ours, asyncio.timeout(PATIENCE_S):
        await meet(ours, theirs)
        await asyncio.gather(ours.connect(), theirs.connect())
        ways = ours.local_username, ours.local_password, ours.remote_username, dict(ours._nominated)
        ours.begin_restart()
        await ours.add_remote_candidate(Candidate.from_sdp("1 1 udp 2130706431 127.0.0.3 9 typ host"))
        ours.give_up_restart()
        assert ways == (ours.local_username, ours.local_password, ours.remote_username, ours._nominated)
        (pair,) = theirs._nominated.values()
        check, key = theirs.build_request(pair, nominate=False), ours.local_password.encode()
        await pair.protocol.request(check, pair.remote_addr, key)  # it is answered
        await ours.send(b"as before")
        assert await theirs.recv() == b"as before"
        ours.give_up_restart()
        await theirs.close()


async def test_aiortc_still_lets_its_ice_be_replaced(one_address: str) -> None:
    """Fails when aiortc keeps its connection elsewhere than ``use_ice`` puts ours."""
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    known = {name for name, value in vars(transport).items() if isinstance(value, aioice.Connection)}
    assert known == {"_connection"}
    ours = IceConnection(Network(), controlling=False)
    use_ice(transport, ours)
    await transport.iceGatherer.gather()
    assert [candidate.ip for candidate in transport.iceGatherer.getLocalCandidates()] == [one_address]
    assert transport.iceGatherer.getLocalParameters().usernameFragment == ours.local_username
    await transport.stop()
