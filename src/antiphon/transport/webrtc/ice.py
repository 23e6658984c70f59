"""ICE as this server does it: addresses and ports of its choice, and new paths under a connection that goes on.

It stands in for the ``aioice.Connection`` that an ``RTCPeerConnection`` makes for itself. Private parts of aioice 0.13
and aiortc 1.16 are used here, and only here; ``tests/shell/test_webrtc_ice.py`` tells when they are others.
"""

from __future__ import annotations

import asyncio
import copy
import socket
from collections import deque
from typing import Any

import structlog
from aioice import Candidate, Connection, TransportPolicy, ice, mdns, stun, turn
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.utils import random_string
from aiortc.rtcicetransport import RTCIceTransport

from antiphon.transport.webrtc.network import IceServer, Network

GATHER_TIMEOUT_S = 3.0
"""For the answers of STUN and TURN servers: an offer is answered after so long, without those that said nothing."""

_OF_A_PATH = (
    *("_local_username", "_local_password", "remote_username", "remote_password"),
    *("_remote_candidates", "_remote_candidates_end", "_nominated", "_nominating"),
    *("_check_list", "_check_list_done", "_check_list_state", "_early_checks", "_early_checks_done"),
)
"""What an ``aioice.Connection`` knows of the way to its client."""

_log = structlog.get_logger(__name__)


class IceConnection(Connection):
    """The paths between this server and one client.

    Names of the mDNS kind, by which browsers hide their addresses, are not looked up: the client's own checks show
    where it is. For the same reason candidates are never complete, and whoever waits for a connection sets the limit.
    """

    def __init__(self, network: Network, *, controlling: bool) -> None:
        super().__init__(
            ice_controlling=controlling,
            transport_policy=TransportPolicy.RELAY if network.relay_only else TransportPolicy.ALL,
        )
        self._network = network
        self._detour: ice.CandidatePair | None = None
        """The path of before, while a new one is looked for."""
        self._before: dict[str, Any] | None = None
        """What a restart that has begun has changed."""
        self._clock = asyncio.get_running_loop().time
        self.heard_at = self._clock()
        """When something last came from the client."""

    @property
    def local_candidates(self) -> list[Candidate]:
        """As they are told to the client."""
        return [self._public(candidate) for candidate in super().local_candidates]

    def _public(self, candidate: Candidate) -> Candidate:
        address = self._network.public_address
        if address is None or candidate.type != "host" or (":" in candidate.host) != (":" in address):
            return candidate
        public = copy.copy(candidate)
        public.host = address
        return public

    async def add_remote_candidate(self, remote_candidate: Candidate | None) -> None:
        if remote_candidate is not None and not mdns.is_mdns_hostname(remote_candidate.host):
            await super().add_remote_candidate(remote_candidate)

    # Gathering.

    async def gather_candidates(self) -> None:
        if self._local_candidates_start:
            return
        self._local_candidates_start = True
        addresses = [] if self._network.relay_only else self._network.addresses()
        self._local_candidates += await self.get_component_candidates(1, addresses)
        self._local_candidates_end = True

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: float = GATHER_TIMEOUT_S
    ) -> list[Candidate]:
        hosts = [protocol for address in addresses if (protocol := await self._bind(address, component)) is not None]
        self._protocols += hosts
        candidates = [protocol.local_candidate for protocol in hosts]
        asked = [self._ask(server, component, hosts) for server in self._network.ice_servers]
        tasks = [asyncio.create_task(work) for works in asked for work in works]
        if not tasks:
            return candidates
        try:
            done, late = await asyncio.wait(tasks, timeout=timeout)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            raise
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in done:
            if (failure := task.exception()) is not None:
                _log.warning("an ICE server gave no address", reason=str(failure) or type(failure).__name__)
                continue
            candidate, relay = task.result()
            candidates.append(candidate)
            if relay is not None:
                self._protocols.append(relay)
        if late:
            _log.warning("an ICE server did not answer in time", timeout_s=timeout)
        return candidates

    async def _bind(self, address: str, component: int) -> ice.StunProtocol | None:
        """A socket on this address, on a port of the range if there is one; None where none is free."""
        loop = asyncio.get_running_loop()
        ports = self._network.ports
        for port in ports.around() if ports is not None else (0,):
            try:
                transport, protocol = await loop.create_datagram_endpoint(
                    lambda: ice.StunProtocol(self), local_addr=(address, port)
                )
            except OSError:
                continue
            plain = transport.get_extra_info("socket")
            if plain is not None:
                plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, turn.UDP_SOCKET_BUFFER_SIZE)
            bound = transport.get_extra_info("sockname")
            protocol.local_candidate = Candidate(
                foundation=candidate_foundation("host", "udp", bound[0]),
                component=component,
                transport="udp",
                priority=candidate_priority(component, "host"),
                host=bound[0],
                port=bound[1],
                type="host",
            )
            return protocol
        _log.warning("no UDP port is free", address=address)
        return None

    def _ask(self, server: IceServer, component: int, hosts: list[ice.StunProtocol]) -> list[Any]:
        if not server.relays:
            return [
                ice.server_reflexive_candidate(protocol, (server.host, server.port))
                for protocol in hosts
                if ":" not in protocol.local_candidate.host
            ]
        relayed = ice.relayed_candidate(
            component=component,
            hide_related_address=self._network.relay_only,
            protocol_factory=lambda: ice.StunProtocol(self),
            turn_server=(server.host, server.port),
            turn_username=server.username,
            turn_password=server.password,
            turn_ssl=server.scheme == "turns",
            turn_transport=server.transport,
        )
        return [relayed]

    # Signs of life.

    def data_received(self, data: bytes, component: int) -> None:
        self.heard_at = self._clock()
        super().data_received(data, component)

    def check_incoming(self, message: stun.Message, addr: tuple[str, int], protocol: ice.StunProtocol) -> None:
        self.heard_at = self._clock()
        super().check_incoming(message, addr, protocol)

    # New paths.

    def begin_restart(self) -> None:
        """Takes new credentials and forgets the client's candidates. Until ``restart`` all is sent the old way."""
        self._before = {name: getattr(self, name) for name in _OF_A_PATH}
        self._detour = self._nominated.get(1, self._detour)
        self._nominated, self._nominating = {}, set()
        for pair in self._check_list:
            if pair.task is not None:
                pair.task.cancel()
        self._check_list = []
        self._check_list_done = False
        self._check_list_state = asyncio.Queue()
        self._early_checks = deque(maxlen=self._early_checks.maxlen)
        self._early_checks_done = False
        self._remote_candidates = []
        self._remote_candidates_end = False
        self._local_username = random_string(4)
        self._local_password = random_string(22)
        self.remote_username = self.remote_password = None

    def give_up_restart(self) -> None:
        """After ``begin_restart``, in the place of ``restart``: all is as it was before."""
        if self._before is not None:
            for name, value in self._before.items():
                setattr(self, name, value)
            self._before = self._detour = None

    async def restart(self, username: str, password: str) -> None:
        """Finds a new path to the client with these credentials. Raises ConnectionError when there is none."""
        self._before = None
        consent, self._query_consent_task = self._query_consent_task, None
        if consent is not None:
            consent.cancel()
        self.remote_username, self.remote_password = username, password
        await self.connect()
        self._detour = None

    async def recvfrom(self) -> tuple[bytes, int]:
        if not self._nominated and self._detour is not None and not self._closing:
            received = await self._queue.get()
            if received is None:
                raise ConnectionError("the connection was lost")
            return received
        return await super().recvfrom()

    async def sendto(self, data: bytes, component: int) -> None:
        if not self._nominated and self._detour is not None and not self._closing:
            await self._detour.protocol.send_data(data, self._detour.remote_addr)
            return
        await super().sendto(data, component)


def use_ice(transport: RTCIceTransport, connection: IceConnection) -> None:
    """Puts ``connection`` in the place of the one that ``transport`` has made, before anything is gathered."""
    transport.iceGatherer._connection = connection
    transport._connection = connection
    transport._recv = connection.recv
    transport._send = connection.send


def begin_restart(transport: RTCIceTransport, connection: IceConnection) -> None:
    """Has ``transport`` take the candidates of another offer; see ``IceConnection.begin_restart``."""
    transport.iceGatherer._remote_candidates_end = False
    connection.begin_restart()
