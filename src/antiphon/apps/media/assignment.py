"""What a media process is told by its server, as a file in the folder of their sockets."""

from __future__ import annotations

from pathlib import Path

from antiphon.apps.config import Config
from antiphon.apps.config_session import Section
from antiphon.errors import ConfigError
from antiphon.transport.webrtc.network import Ports


class Assignment(Section):
    number: int
    """Among the media processes of the server, from 1 on."""
    folder: Path
    """Where the sockets are, of the workers and its own. Only the server's user may enter it."""
    config: Config
    """The server's, as far as it matters for calls."""

    @property
    def name(self) -> str:
        return f"webrtc-{self.number}"

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self.folder / f"{self.name}.sock"

    @property
    def path(self) -> Path:
        """Where it is written."""
        return self.folder / f"{self.name}.json"

    def write(self) -> None:
        """Raises OSError."""
        self.path.touch(mode=0o600)
        self.path.write_text(self.model_dump_json(), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Assignment:
        """Raises ConfigError."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path} is not what a server tells its media process: {error}") from error


def assignments(config: Config, folder: Path, brain: str) -> list[Assignment]:
    """One for each media process. ``brain`` is the language model's engine, whatever the configuration looked for."""
    count = config.webrtc_workers
    ranges = Ports.parse(config.webrtc_ports).split(count) if config.webrtc_ports is not None else []
    own = {
        "webrtc_workers": 0,
        "api_key": (),
        "insecure": True,  # only its server reaches it, which has asked for the key
        "tls": None,
        "tls_cert": None,
        "tls_key": None,
        "livekit_url": None,
        "livekit_token": None,
        "livekit_identity": None,
        "llm": brain,
        "model": None,
    }
    return [
        Assignment(
            number=number,
            folder=folder,
            config=config.model_copy(update=own | ({"webrtc_ports": str(ranges[number - 1])} if ranges else {})),
        )
        for number in range(1, count + 1)
    ]
