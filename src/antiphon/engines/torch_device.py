"""Where engines on PyTorch run. PyTorch is imported when a model is loaded, not before."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from antiphon.errors import ConfigError, EngineError

AUTO = "auto"
"""The first accelerator that there is, else the CPU."""

_DEVICES = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check_device(name: str) -> str:
    """The name itself. Raises ConfigError for one that means nothing."""
    if not _DEVICES.fullmatch(name):
        raise ConfigError(f"there is no device {name!r}: there are auto, cpu, mps, cuda and cuda:NUMBER")
    return name


def find_device(name: str) -> Any:
    """The torch.device. Raises EngineError when this machine, or this build of PyTorch, does not have it."""
    import torch

    if name == AUTO:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = torch.device(name)
    count = {"cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}.get(device.type, 1)
    if (device.index or 0) >= count:
        there = ", ".join(_accelerators(torch)) or "no accelerator"
        raise EngineError(
            f"there is no device {name} here: PyTorch {torch.__version__} sees {there}; "
            "choose another with --device, or install the build of PyTorch for it (https://pytorch.org)"
        )
    return device


def speech_dtype(device: Any) -> Any:
    """The torch.dtype for large models there: half the memory and the time on GPUs that compute in bfloat16."""
    import torch

    halved = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if halved else torch.float32


def use_own_threads() -> None:
    """Lets the calling thread use as many cores as the process may; libraries set it for all threads to come."""
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 0) or os.cpu_count() or 1)


@contextmanager
def torchaudio_imports(engine: str, install: str) -> Iterator[None]:
    """Around the import of what uses torchaudio. Raises EngineError, with ``install`` where something is missing."""
    try:
        yield
    except ImportError as error:
        raise EngineError(f"{engine} needs packages ({error}): {install}") from error
    except OSError as error:
        raise EngineError(
            f"torchaudio and torch do not fit each other ({error}): install both from one index (https://pytorch.org)"
        ) from error


def _accelerators(torch: Any) -> list[str]:
    found = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return [*found, "mps"] if torch.backends.mps.is_available() else found
