"""Configurations that come with the package, for ``--config`` and for ``antiphon juno``."""

from __future__ import annotations

from pathlib import Path

from antiphon.errors import ConfigError

SUFFIX = ".yaml"


def presets_folder() -> Path:
    """In an installed package beside the code, in a working copy at its root."""
    package = Path(__file__).parents[1]
    installed = package / "presets"
    return installed if installed.is_dir() else package.parents[1] / "presets"


def preset_file(wanted: str) -> Path:
    """The preset of that name, else the file. Raises ConfigError."""
    folder = presets_folder()
    named = folder / f"{wanted}{SUFFIX}"
    if named.parent == folder and named.is_file():
        return named
    if Path(wanted).is_file():
        return Path(wanted)
    known = ", ".join(sorted(path.stem for path in folder.glob(f"*{SUFFIX}")))
    raise ConfigError(f"there is no preset {wanted!r}, and no such file; there are {known}")
