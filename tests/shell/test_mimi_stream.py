from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from tests.shell.tiny_csm import CODEBOOKS, CODES, make_codec

from antiphon.engines.mimi_stream import MimiStream

FRAMES = 40


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(
    scope="module", params=[{}, {"num_residual_layers": 2, "upsampling_ratios": [5, 4, 2], "kernel_size": 5}]
)
def codec(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(1)
    return make_codec(**request.param)


def test_pieces_add_up_to_the_whole(codec: Any) -> None:
    codes = torch.randint(0, CODES, (CODEBOOKS, FRAMES))
    whole = codec.decode(codes[None]).audio_values[0, 0]
    assert whole.std() > 0.01
    for edges in (range(FRAMES + 1), (0, 1, 3, 7, 20, 23, FRAMES)):
        stream = MimiStream(codec)
        pieces = [stream.push(codes[:, start:end]) for start, end in pairwise(edges)]
        assert len(pieces[0]) == len(whole) // FRAMES * (edges[1] - edges[0])
        assert torch.allclose(torch.cat(pieces), whole, atol=1e-4 * float(whole.abs().max()))


def test_streams_do_not_touch_each_other(codec: Any) -> None:
    one, other = torch.randint(0, CODES, (2, CODEBOOKS, FRAMES))
    alone = [MimiStream(codec).push(codes) for codes in (one, other)]
    streams = [MimiStream(codec), MimiStream(codec)]
    both = list(zip(streams, (one, other), strict=True))
    parts = [[stream.push(codes[:, at : at + 8]) for stream, codes in both] for at in range(0, FRAMES, 8)]
    for number in range(2):
        together = torch.cat([part[number] for part in parts])
        assert torch.allclose(together, alone[number], atol=1e-4 * float(alone[number].abs().max()))
    assert not torch.allclose(*alone, atol=0.1 * float(alone[0].abs().max()))


def test_marks_beyond_the_codes_are_no_error(codec: Any) -> None:
    assert MimiStream(codec).push(torch.full((CODEBOOKS, 1), CODES + 2)).isfinite().all()
