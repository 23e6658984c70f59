"""Language models of the library transformers, on PyTorch: any that has a chat template and attention alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from antiphon.engines.cached_answer import Steps
from antiphon.engines.contexts import CachedModel
from antiphon.engines.mlx_models import find_folder
from antiphon.engines.torch_device import AUTO, check_device, find_device, use_own_threads
from antiphon.engines.turn_lock import TurnLock
from antiphon.errors import EngineError

_AT_A_TIME = 32
"""So many take turns on the model; more wait for the end of one."""


class TransformersLibrary:
    """A ``Library``: see ``cached_brain``."""

    engine = "transformers"
    what = "transformers"

    def __init__(self, device: str = AUTO) -> None:
        """``device`` is as for ``torch_device``. Raises ConfigError."""
        self._device = check_device(device)
        self._turns = TurnLock()
        self._threads = ThreadPoolExecutor(_AT_A_TIME, "transformers")

    async def read(self, model: str) -> tuple[CachedModel, Any, Path]:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, model)

    def submit(self, work: Callable[[], Steps]) -> Future[Any]:
        return self._threads.submit(self._take_steps, work)

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)

    def _take_steps(self, work: Callable[[], Steps]) -> None:
        use_own_threads()
        with self._turns:
            for _ in work():
                self._turns.pass_on()

    def _read(self, name: str) -> tuple[CachedModel, Any, Path]:
        try:
            from antiphon.engines.transformers_model import TransformersModel
        except ImportError as error:
            raise EngineError(
                "transformers and PyTorch are not installed: run `pip install 'antiphon[transformers]'`"
            ) from error
        folder = find_folder(self.engine, name)
        device = find_device(self._device)
        use_own_threads()
        try:
            model = TransformersModel(str(folder), device)
        except EngineError as error:
            raise EngineError(f"the model in {folder} cannot be used: {error}") from error
        except Exception as error:  # whatever a broken file does to the libraries
            raise EngineError(f"the model in {folder} cannot be read ({error})") from error
        return model, model.tokenizer, folder
