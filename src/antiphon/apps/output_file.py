"""Files that a command writes at its end."""

from __future__ import annotations

from pathlib import Path

from antiphon.errors import ConfigError


def check_folder(option: str, file: Path | None) -> None:
    """Tells before the work that the file would have no folder to be in. Raises ConfigError."""
    if file is not None and not file.parent.is_dir():
        raise ConfigError(f"{option} {file}: there is no folder {file.parent}")
