"""What goes out, when, and what of it was heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import FRAME_BYTES, FRAME_SAMPLES, MOUTH_RATE_HZ
from antiphon.core.playout import BurstPlayout, PacedPlayout


def sound(samples: int, start: int = 0) -> bytes:
    """Samples that can be told apart."""
    return b"".join((1 + (start + i) % 30_000).to_bytes(2, "little") for i in range(samples))


@given(st.lists(st.integers(0, 3 * FRAME_SAMPLES), max_size=12))
def test_paced_frames_joined_are_the_audio(chunks: list[int]) -> None:
    playout, whole = PacedPlayout(), b""
    frames = []
    for samples in chunks:
        pcm = sound(samples, len(whole) // 2)
        whole += pcm
        playout.push(pcm, 0.0)
        if frame := playout.pull():
            frames.append(frame)
    playout.finish(0.0)
    while frame := playout.pull():
        frames.append(frame)
    assert all(len(frame) == FRAME_BYTES for frame in frames)
    assert b"".join(frames)[: len(whole)] == whole
    assert not b"".join(frames)[len(whole) :].strip(b"\0")
    assert playout.heard_samples(0.0) * 2 == len(whole)
    assert playout.drained(0.0)


def test_paced_audio_waits_for_a_whole_frame_while_more_may_come() -> None:
    playout = PacedPlayout()
    playout.push(sound(FRAME_SAMPLES - 1), 0.0)
    assert playout.pull() is None
    playout.push(sound(1), 0.0)
    assert playout.pull() is not None
    assert playout.pull() is None
    assert not playout.drained(0.0)
    playout.finish(0.0)
    assert playout.drained(0.0)


def test_paced_heard_counts_what_was_pulled_and_no_padding() -> None:
    playout = PacedPlayout()
    playout.push(sound(FRAME_SAMPLES + 100), 0.0)
    playout.finish(0.0)
    playout.pull()
    assert (playout.heard_samples(9.0), playout.ahead_samples(9.0)) == (FRAME_SAMPLES, 100)
    playout.pull()
    assert (playout.heard_samples(9.0), playout.ahead_samples(9.0)) == (FRAME_SAMPLES + 100, 0)


def test_burst_hears_with_the_clock_from_the_first_audio_on() -> None:
    playout = BurstPlayout()
    playout.push(sound(MOUTH_RATE_HZ), 10.0)
    assert playout.heard_samples(10.0) == 0
    assert playout.heard_samples(10.25) == MOUTH_RATE_HZ // 4
    assert playout.heard_samples(99.0) == MOUTH_RATE_HZ
    assert playout.sent_samples == MOUTH_RATE_HZ


def test_burst_stands_still_when_it_runs_dry() -> None:
    playout = BurstPlayout()
    playout.push(sound(MOUTH_RATE_HZ), 10.0)
    playout.push(sound(MOUTH_RATE_HZ), 15.0)
    assert playout.heard_samples(15.0) == MOUTH_RATE_HZ
    assert playout.heard_samples(15.5) == MOUTH_RATE_HZ * 3 // 2


def test_burst_is_drained_when_the_client_has_played_all() -> None:
    playout = BurstPlayout()
    playout.push(sound(MOUTH_RATE_HZ), 10.0)
    assert playout.drains_at() is None
    playout.finish(10.1)
    assert playout.drains_at() == 11.0
    assert not playout.drained(10.99)
    assert playout.drained(11.0)


@given(
    st.lists(st.tuples(st.integers(0, 48_000), st.floats(0, 2)), min_size=1, max_size=12),
    st.lists(st.floats(0, 3), min_size=1, max_size=6),
)
def test_burst_heard_never_shrinks_nor_outruns_the_clock(pushes: list[tuple[int, float]], looks: list[float]) -> None:
    playout, now, heard, sent = BurstPlayout(), 5.0, 0, 0
    for (samples, wait), look in zip(pushes, looks * 12, strict=False):
        playout.push(sound(samples), now)
        sent += samples
        now += min(wait, look)
        after = playout.heard_samples(now)
        assert heard <= after <= sent
        assert after <= (now - 5.0) * MOUTH_RATE_HZ + 1
        assert after + playout.ahead_samples(now) == sent
        heard = after
