"""WebRTC in the server, where it is installed."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from antiphon.apps.composition import Shared
from antiphon.apps.config import Config
from antiphon.apps.metrics import Metrics
from antiphon.errors import ConfigError
from antiphon.session.pacer import Pacer
from antiphon.transport.gateway import Gateway
from antiphon.transport.webrtc.network import IceServer, Network, Ports

if TYPE_CHECKING:
    from antiphon.transport.webrtc.calls import Calls
    from antiphon.transport.webrtc.front import CallFront, Exchange

_log = structlog.get_logger(__name__)


def calls_of(config: Config, pacer: Pacer, metrics: Metrics) -> Callable[[Gateway], Calls] | None:
    """What makes the calls of a server; None when the extra ``webrtc`` is not installed.

    Raises ConfigError where none could be taken.
    """
    try:
        from antiphon.transport.webrtc.calls import Calls
    except ModuleNotFoundError as error:
        _log.info("no WebRTC; clients use the WebSocket", missing=error.name, install="pip install 'antiphon[webrtc]'")
        return None
    clock = asyncio.get_running_loop().time
    network = network_of(config)
    network.check()
    return partial(Calls, network=network, pacer=pacer, admit=lambda: metrics.admission.admit(clock()))


def front_of(processes: Exchange) -> Callable[[Gateway], CallFront]:
    """What hands the calls of a server over to the processes that carry them."""
    from antiphon.transport.webrtc.front import CallFront

    return partial(CallFront, exchange=processes)


def check_processes(shared: Shared | None) -> Shared:
    """By what media processes are served. Raises ConfigError where there can be none."""
    if importlib.util.find_spec("aiortc") is None:
        raise ConfigError("--webrtc-workers needs WebRTC: pip install 'antiphon[webrtc]'")
    if shared is None:
        raise ConfigError("--webrtc-workers needs engines in processes of their own, which this system does not have")
    return shared


def network_of(config: Config) -> Network:
    return Network(
        listening_on=config.host,
        ice_servers=tuple(IceServer.parse(url) for url in config.ice_server),
        ports=Ports.parse(config.webrtc_ports) if config.webrtc_ports is not None else None,
        public_address=config.nat_1to1,
        relay_only=config.relay_only,
    )
