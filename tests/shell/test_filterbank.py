import numpy as np
import pytest
import torch
from torchaudio.compliance import kaldi

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.filterbank import BANDS, FRAME_SAMPLES, SHIFT_SAMPLES, filterbank, frames_in
from antiphon.sim.speech import recordings


@pytest.mark.parametrize("start_s", [0, 3])
def test_the_bands_are_those_of_kaldi(start_s: int) -> None:
    samples = recordings()[1].samples[start_s * EAR_RATE_HZ : (start_s + 3) * EAR_RATE_HZ]
    theirs = kaldi.fbank(
        torch.from_numpy(samples.astype(np.float32))[None],
        num_mel_bins=BANDS,
        dither=0.0,
        window_type="hamming",
        sample_frequency=EAR_RATE_HZ,
    ).numpy()
    ours = filterbank(samples)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < 0.01


@pytest.mark.parametrize("samples", [0, FRAME_SAMPLES - 1, FRAME_SAMPLES, FRAME_SAMPLES + SHIFT_SAMPLES, 16_001])
def test_there_is_a_frame_for_each_shift_that_has_a_whole_window(samples: int) -> None:
    bands = filterbank(np.zeros(samples, np.int16))
    assert bands.shape == (frames_in(samples), BANDS)
    assert np.isfinite(bands).all()
