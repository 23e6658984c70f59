"""Runs of a model that are stopped."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from tests.shell.tiny_voices import SLOW_SOUND, write_piper_voice

from antiphon.engines.onnx_runs import StoppableSession, open_session


def inputs(phonemes: str) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    ids = np.array([[DEFAULT_PHONEME_ID_MAP[phoneme][0] for phoneme in phonemes]])
    scales = np.array([0.667, 1.0, 0.8], np.float32)
    return {"input": ids, "input_lengths": np.array([ids.shape[1]]), "scales": scales}


def test_a_stopped_run_ends_and_others_go_on(tmp_path: Path) -> None:
    model = open_session(write_piper_voice(tmp_path / "voice.onnx"))
    stopped, other = StoppableSession(model), StoppableSession(model)
    began_at = time.perf_counter()
    threading.Timer(0.2, stopped.stop).start()
    with pytest.raises(Exception, match="terminate"):
        stopped.run(None, inputs(SLOW_SOUND))
    assert time.perf_counter() - began_at < 8
    assert stopped.stopped
    with pytest.raises(Exception, match="terminate"):
        stopped.run(None, inputs("a"))
    assert not other.stopped
    assert other.run(None, inputs("a"))[0].size
    assert [each.name for each in other.get_outputs()] == ["output"]
