"""Sessions of onnxruntime that leave the event loop its time, and runs that can be stopped."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

MOST_THREADS = 4
"""Small speech models gain little from more."""

_FATAL = 4


def open_session(model: Path | bytes) -> Any:
    """A session on the CPU. Its threads sleep between runs, where they would by default spin for the next one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MOST_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


class StoppableSession:
    """A session as one stream uses it: ``stop`` ends its run at the next operator, and all later ones at once."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._options = onnxruntime.RunOptions()
        self._options.log_severity_level = _FATAL  # a run that is stopped is no error to be printed

    @property
    def stopped(self) -> bool:
        return bool(self._options.terminate)

    def stop(self) -> None:
        """From any thread. A run under way raises onnxruntime's own error."""
        self._options.terminate = True

    def run(self, output_names: Sequence[str] | None, inputs: Mapping[str, Any]) -> Any:
        return self._session.run(output_names, inputs, self._options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)
