"""WebRTC in the server, where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import structlog

from antiphon.apps.config import Config
from antiphon.session.pacer import Pacer
from antiphon.transport.gateway import Gateway

if TYPE_CHECKING:
    from antiphon.transport.webrtc.calls import Calls

_log = structlog.get_logger(__name__)


def calls_of(config: Config, pacer: Pacer) -> Callable[[Gateway], Calls] | None:
    """What makes the calls of a server; None when the extra ``webrtc`` is not installed."""
    try:
        from antiphon.transport.webrtc.calls import Calls
        from antiphon.transport.webrtc.network import Network
    except ModuleNotFoundError as error:
        _log.info("no WebRTC; clients use the WebSocket", missing=error.name, install="pip install 'antiphon[webrtc]'")
        return None
    network = Network(listening_on=config.host)
    return partial(Calls, network=network, pacer=pacer)
