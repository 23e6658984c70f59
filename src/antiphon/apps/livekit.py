"""LiveKit rooms in the server, where the SDK is installed."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.apps.config import Config
from antiphon.errors import ConfigError
from antiphon.transport.gateway import Gateway
from antiphon.transport.livekit.rooms import Rooms
from antiphon.transport.livekit.sdk import LiveKit, Sdk, is_installed
from antiphon.transport.livekit.visit import Invitation


def rooms_of(config: Config, sdk: Callable[[], Sdk] = LiveKit) -> Callable[[Gateway], Rooms] | None:
    """What makes the rooms of a server; None when the extra ``livekit`` is not installed.

    Raises ConfigError when it is not and the configuration names a room.
    """
    if not is_installed():
        if config.livekit_url is not None:
            raise ConfigError("--livekit-url needs LiveKit's SDK: `pip install 'antiphon[livekit]'`")
        return None
    standing = None
    if config.livekit_url is not None and config.livekit_token is not None:
        standing = Invitation(config.livekit_url, config.livekit_token, config.livekit_identity, stays=True)
    return lambda gateway: Rooms(sdk, gateway, standing)
