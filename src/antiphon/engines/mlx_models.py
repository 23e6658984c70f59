"""Models for MLX: where their folders are, and that nothing is fetched for them behind the user's back."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from antiphon.engines.model_files import is_path, model_folder
from antiphon.errors import EngineError

_ALLOWED_VARIABLE = "HF_HUB_OFFLINE"
"""The hub's own variable: who sets it to 0 has said that its libraries may download."""
_NEVER_PULLED = ("transformers", "mlx-lm")
"""Engines of whose models `antiphon models pull` has none."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def find_folder(engine: str, model: str) -> Path:
    """The folder of ``model``: a path, a repository in the hub's cache ("OWNER/NAME"), or the name of one pulled here.

    Raises EngineError, which says how to get it.
    """
    if not is_path(model):
        try:
            return model_folder(engine, model)
        except EngineError as error:
            if engine not in _NEVER_PULLED:
                raise
            how = "give the path of its folder, or OWNER/NAME after `hf download OWNER/NAME`"
            raise EngineError(f"{engine}:{model} is not on this machine: {how}") from error
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not _REPOSITORY.fullmatch(model):
        raise EngineError(f"there is no folder {folder}")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, local_files_only=True))
    except (LocalEntryNotFoundError, HfHubHTTPError, ValueError) as error:
        raise EngineError(f"{model} is not on this machine: run `hf download {model}`") from error


def read_config(folder: Path) -> dict[str, Any]:
    """A model's config.json. Raises EngineError."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EngineError(f"{folder} has no config.json: it is no model for MLX, or only a part of one") from error
    except ValueError as error:
        raise EngineError(f"the config.json in {folder} cannot be read ({error}): get the model again") from error
    if not isinstance(config, dict):
        raise EngineError(f"the config.json in {folder} is no object: get the model again")
    return config


def stay_offline() -> None:
    """Has the hub's library fetch nothing from now on, in this whole process, unless the user allowed it."""
    if os.environ.get(_ALLOWED_VARIABLE, "1").lower() in ("0", "no", "off", "false"):
        return
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True


def why(error: BaseException) -> str:
    """What went wrong in a library, to be told to the user: above all, that it would have downloaded something."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OfflineModeIsEnabled):
            wanted = re.search(r"https?://[^\s:]+", str(cause))
            what = wanted.group() if wanted else "more files"
            return f"it needs {what}, and nothing is downloaded here: get that with `hf download`"
        cause = cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__
