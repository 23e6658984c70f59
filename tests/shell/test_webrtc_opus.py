"""libopus by ctypes: what goes in comes out, what is lost is made up, what is damaged is refused."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from antiphon.audio import EAR_RATE_HZ, FRAME_BYTES, FRAME_SAMPLES, MOUTH_RATE_HZ, Samples, resample, samples_of
from antiphon.errors import ConfigError
from antiphon.sim.speech import recordings
from antiphon.transport.webrtc import opus
from antiphon.transport.webrtc.opus import LEAST_LOSS_PERCENT, OpusDecoder, OpusEncoder, OpusError, packet_samples

EAR_FRAME_SAMPLES = EAR_RATE_HZ // 50


@lru_cache(maxsize=1)
def speech() -> list[bytes]:
    """Four seconds of fluent human speech, in frames."""
    spoken = recordings()[1].spoken[: 4 * EAR_RATE_HZ]
    pcm = resample(spoken.tobytes(), EAR_RATE_HZ, MOUTH_RATE_HZ)
    return [pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES)]


def encoded(loss_percent: int) -> list[bytes]:
    encoder = OpusEncoder(loss_percent=loss_percent)
    packets = [encoder.encode(frame) for frame in speech()]
    encoder.close()
    return packets


def likeness(a: Samples, b: Samples) -> float:
    """The correlation of two pieces of audio of equal length."""
    return float(np.corrcoef(a.astype(np.float64), b.astype(np.float64))[0, 1])


def test_speech_comes_through() -> None:
    decoder = OpusDecoder()
    heard = samples_of(b"".join(decoder.decode(packet) for packet in encoded(0)))
    said = samples_of(resample(b"".join(speech()), MOUTH_RATE_HZ, EAR_RATE_HZ))
    # Its look-ahead delays the audio by 6.5 ms at the encoder, and by less at the decoder.
    shift = max(range(60, 240), key=lambda by: likeness(said[:-240], heard[by : len(said) - 240 + by]))
    assert likeness(said[:-240], heard[shift : len(said) - 240 + shift]) > 0.8
    assert len(heard) == len(speech()) * EAR_FRAME_SAMPLES


def test_a_lost_packet_is_better_restored_from_the_next_one_than_made_up() -> None:
    packets = encoded(LEAST_LOSS_PERCENT)
    whole = OpusDecoder()
    truth = [samples_of(whole.decode(packet)) for packet in packets]

    def restored(correct: bool) -> list[float]:
        decoder, scores = OpusDecoder(), []
        for i, packet in enumerate(packets[:-1]):
            if i % 5 != 4:
                decoder.decode(packet)
                continue
            pcm = decoder.conceal(FRAME_SAMPLES, packets[i + 1] if correct else None)
            if np.abs(truth[i]).max() > 1000:
                scores.append(likeness(truth[i], samples_of(pcm)))
        return scores

    corrected, made_up = restored(True), restored(False)
    assert len(corrected) == len(made_up) > 10
    assert np.median(corrected) > 0.8 > 0.6 > np.median(made_up)


def test_packets_tell_their_length() -> None:
    assert packet_samples(encoded(0)[0]) == FRAME_SAMPLES
    assert packet_samples(b"\xf8\xff\xfe") == FRAME_SAMPLES  # 20 ms of CELT
    assert packet_samples(b"\x18\x00") == 60 * 48  # 60 ms of SILK


@pytest.mark.parametrize("payload", [b"", b"\xfb", b"\xff\x00", b"\x1b\x30"])
def test_what_is_no_packet_is_refused(payload: bytes) -> None:
    with pytest.raises(OpusError, match=r"an Opus packet|read a packet"):
        packet_samples(payload)


def test_a_damaged_packet_does_not_harm_the_next_one() -> None:
    decoder, packets = OpusDecoder(), encoded(0)
    decoder.decode(packets[0])
    with pytest.raises(OpusError, match="decode a packet"):
        decoder.decode(b"\xfb\xff\xff")
    assert len(decoder.decode(packets[1])) == EAR_FRAME_SAMPLES * 2


def test_expected_loss_is_paid_for_with_bits_of_correction() -> None:
    assert sum(map(len, encoded(0))) != sum(map(len, encoded(30)))
    encoder = OpusEncoder()
    encoder.expect_loss(-5)
    encoder.expect_loss(400)
    encoder.close()


def test_a_frame_has_one_length() -> None:
    with pytest.raises(ValueError, match="a frame has 1920 bytes, not 7"):
        OpusEncoder().encode(bytes(7))


def test_what_is_closed_refuses_work_and_closes_again() -> None:
    encoder, decoder = OpusEncoder(), OpusDecoder()
    for codec in (encoder, decoder, encoder, decoder):
        codec.close()
    with pytest.raises(OpusError, match="this encoder is closed"):
        encoder.encode(bytes(FRAME_BYTES))
    with pytest.raises(OpusError, match="this encoder is closed"):
        encoder.expect_loss(5)
    with pytest.raises(OpusError, match="this decoder is closed"):
        decoder.conceal(FRAME_SAMPLES)


def test_a_rate_that_opus_does_not_know_is_refused() -> None:
    with pytest.raises(OpusError, match="make a decoder"):
        OpusDecoder(44_100)


def test_without_the_library_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    opus.library.cache_clear()
    monkeypatch.setattr(opus, "find_spec", lambda name: None)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    try:
        with pytest.raises(ConfigError, match=r"antiphon\[webrtc\]"):
            opus.library()
    finally:
        opus.library.cache_clear()
