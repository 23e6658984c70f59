"""Where the files of downloaded models are: ``models/<engine>/<model>`` in the platform's cache folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from antiphon.errors import EngineError

FOLDER_VARIABLE = "ANTIPHON_MODELS"
"""Names another folder for all models."""


def models_folder() -> Path:
    """Where models are kept. It need not exist."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else _platform_cache_folder() / "models"


def is_path(model: str) -> bool:
    """Whether a model's name is a path to it, and no name in the models' folder."""
    return "/" in model or os.sep in model or model.startswith("~")


def model_folder(engine: str, model: str) -> Path:
    """The folder of a model that was pulled. Raises EngineError, which says how to pull it."""
    folder = models_folder() / engine / model
    if not folder.is_dir():
        raise EngineError(f"{engine}:{model} is not on this machine: run `antiphon models pull {engine}:{model}`")
    return folder


def only_file(folder: Path, *patterns: str) -> Path:
    """The one file in ``folder`` or below that matches any of ``patterns``. Raises EngineError."""
    found = sorted({path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()})
    if len(found) == 1:
        return found[0]
    wanted = " or ".join(patterns)
    if found:
        raise EngineError(f"{folder} has {len(found)} files {wanted}: name the one that is meant by its path")
    raise EngineError(f"{folder} has no file {wanted}: pull or copy the model again")


def _platform_cache_folder() -> Path:
    match sys.platform:
        case "darwin":
            return Path.home() / "Library" / "Caches" / "antiphon"
        case "win32":
            return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "antiphon" / "Cache"
        case _:
            return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antiphon"
