from __future__ import annotations

import pytest
import torch

from antiphon.engines.torch_device import check_device, find_device, speech_dtype, use_own_threads
from antiphon.errors import ConfigError, EngineError


@pytest.mark.parametrize("name", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:11"])
def test_names_of_devices(name: str) -> None:
    assert check_device(name) == name


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:x", "cpu:0 ", "tpu"])
def test_names_that_mean_nothing(name: str) -> None:
    with pytest.raises(ConfigError, match="there are auto, cpu"):
        check_device(name)


def test_the_first_accelerator_is_taken_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, found in ((0, False, "cpu"), (0, True, "mps"), (2, False, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda cuda=cuda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda cuda=cuda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda mps=mps: mps)
        assert find_device("auto").type == found


def test_a_device_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_device("cuda:1").index == 1
    with pytest.raises(EngineError, match=r"no device cuda:2 here.*sees cuda:0, cuda:1"):
        find_device("cuda:2")


def test_gpus_that_can_compute_with_half_the_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for can, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda can=can, **_options: can)
        assert speech_dtype(torch.device("cuda:0")) is dtype
    assert speech_dtype(torch.device("cpu")) is torch.float32


def test_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        for said in ("3", "1"):
            monkeypatch.setenv("OMP_NUM_THREADS", said)
            use_own_threads()
            assert torch.get_num_threads() == int(said)
    finally:
        torch.set_num_threads(before)
