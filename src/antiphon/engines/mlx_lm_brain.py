"""Language models on MLX (``mlx-lm``): on Apple's GPUs, and on the CPU of a Linux machine, slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from antiphon.engines.cached_answer import Steps
from antiphon.engines.contexts import CachedModel
from antiphon.engines.mlx_models import find_folder, read_config, stay_offline, why
from antiphon.engines.mlx_thread import Lane, open_lane
from antiphon.errors import EngineError


class MlxLmLibrary:
    """A ``Library``: see ``cached_brain``. Each answer has a lane of its own, so that all have their turns."""

    engine = "mlx-lm"
    what = "mlx-lm"

    def __init__(self) -> None:
        self._lanes: set[Lane] = set()
        self._closed = False

    async def read(self, model: str) -> tuple[CachedModel, Any, Path]:
        lane = open_lane()
        try:
            return await asyncio.get_running_loop().run_in_executor(lane, _read, model)
        finally:
            lane.shutdown(wait=False)

    def submit(self, work: Callable[[], Steps]) -> Future[Any]:
        if self._closed:
            raise RuntimeError("it was closed")
        lane = open_lane()
        job = lane.submit(work)
        self._lanes.add(lane)
        job.add_done_callback(lambda _: self._lanes.discard(lane))
        return job

    def close(self) -> None:
        self._closed = True
        for lane in tuple(self._lanes):
            lane.shutdown(cancel_futures=True)


def _read(name: str) -> tuple[CachedModel, Any, Path]:
    """In the thread of MLX. Raises EngineError."""
    try:
        from antiphon.engines.mlx_lm_model import MlxLmModel
    except ImportError as error:
        raise EngineError("mlx-lm is not installed: run `pip install 'antiphon[mlx-lm]'`") from error
    folder = find_folder("mlx-lm", name)
    read_config(folder)
    stay_offline()
    try:
        model = MlxLmModel(folder)
    except EngineError as error:
        raise EngineError(f"the model in {folder} cannot be used: {error}") from error
    except Exception as error:  # whatever a broken file does to the libraries
        raise EngineError(f"the model in {folder} is none that mlx-lm can load ({why(error)})") from error
    return model, model.tokenizer, folder
