"""The models on this machine: pulled whole or not at all, each with a record of where it came from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from antiphon.apps.models.download import Download
from antiphon.apps.models.manifest import HUB, Model
from antiphon.engines.model_files import models_folder

RECORD = "antiphon.json"
"""In each model's folder: its name, source, licence and checksums."""

DEFAULT_ENDPOINT = "https://huggingface.co"

FileProgress = Callable[[str, int, int | None], None]
"""A file's name, the bytes that are there, and those that there will be."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A model on this machine."""

    name: str
    folder: Path
    size_bytes: int
    record: dict[str, Any] | None
    """None where it was not pulled but put there."""


def kept_models() -> list[Kept]:
    """Those in the models' folder, by name."""
    return sorted(_kept(), key=lambda model: model.name)


def _kept() -> Iterator[Kept]:
    root = models_folder()
    for folder in root.glob("*/*"):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        yield Kept(f"{folder.parent.name}:{folder.name}", folder, size_bytes, _record(folder))


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        record = orjson.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def address(model: Model, path: str, endpoint: str) -> str:
    """Where a file of the model is."""
    source = model.source
    if path.startswith(HUB):
        repository, _, rest = path.partition("@")
        revision, _, path = rest.partition("/")
        source = f"{repository}@{revision}"
    if not source.startswith(HUB):
        return f"{source}/{path}"
    repository, _, revision = source.removeprefix(HUB).partition("@")
    return f"{endpoint}/{repository}/resolve/{revision}/{path}"


async def pull(
    model: Model,
    *,
    again: bool = False,
    endpoint: str | None = None,
    token: str | None = None,
    progress: FileProgress = lambda name, done, total: None,
    backoff_s: float = 1.0,
) -> Path | None:
    """Downloads a model and returns its folder; None where it is there already and not wanted ``again``.

    The folder appears when all of it is there and checked; what a broken download has got is used by the next one.
    ``endpoint`` and ``token`` are the environment's HF_ENDPOINT and HF_TOKEN unless given. Raises DownloadError.
    """
    target = models_folder() / model.engine / model.model
    if not again and _record(target) is not None:
        return None
    endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
    token = token or os.environ.get("HF_TOKEN") or None
    coming = target.with_name(f".{model.model}.pull")
    sums: dict[str, str] = {}
    commit: str | None = None
    async with aiohttp.ClientSession() as client:
        for file in model.files:
            download = Download(
                client,
                address(model, file.path, endpoint),
                coming / file.name,
                sha256=file.sha256,
                size_bytes=file.size_bytes,
                token=token if model.source.startswith(HUB) else None,
                progress=lambda done, total, name=file.name: progress(name, done, total),  # type: ignore[misc]
                backoff_s=backoff_s,
            )
            sums[file.name] = await download.run()
            commit = download.remote.commit or commit
    record = {"name": model.name, "source": model.source, "commit": commit, "licence": model.licence, "sha256": sums}
    (coming / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    _put(coming, target)
    return target


def _put(coming: Path, target: Path) -> None:
    """Renames the folder to where it is looked for, in place of an older one."""
    for left_over in coming.glob("*.part"):
        left_over.unlink()
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    coming.rename(target)
    shutil.rmtree(old, ignore_errors=True)
