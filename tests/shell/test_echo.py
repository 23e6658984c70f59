from __future__ import annotations

import numpy as np

from antiphon.apps.echo import APM_FRAME_BYTES, APM_FRAME_MS, APM_RATE_HZ, EchoCanceller
from antiphon.audio import EAR_RATE_HZ, Samples, resample, samples_of
from antiphon.sim.speech import recordings

ECHO_DELAY_MS = 80
CONVERGED_AFTER_S = 3.0


def voice(name: str, seconds: float) -> Samples:
    spoken = next(r for r in recordings() if r.name == name).spoken
    return samples_of(resample(spoken[: int(seconds * EAR_RATE_HZ)].tobytes(), EAR_RATE_HZ, APM_RATE_HZ))


def power_db(samples: Samples) -> float:
    return float(10 * np.log10(np.mean(samples.astype(np.float64) ** 2) + 1e-9))


def room(played: Samples) -> Samples:
    """What the microphone hears of the loudspeaker: later, quieter, and with a reflection."""
    delay = ECHO_DELAY_MS * APM_RATE_HZ // 1000
    echo = np.zeros(len(played), np.float64)
    echo[delay:] += 0.3 * played[:-delay]
    echo[delay + 480 :] += 0.1 * played[: -delay - 480]
    return echo.astype(np.int16)


def through(canceller: EchoCanceller, played: Samples, heard: Samples) -> Samples:
    out = []
    far, near = played.tobytes(), heard.tobytes()
    for at in range(0, min(len(far), len(near)) - APM_FRAME_BYTES + 1, APM_FRAME_BYTES):
        canceller.played(far[at : at + APM_FRAME_BYTES])
        out.append(canceller.heard(near[at : at + APM_FRAME_BYTES], ECHO_DELAY_MS))
    return samples_of(b"".join(out))


def test_the_agents_own_voice_is_taken_out() -> None:
    played = voice("two_cities", 10)
    echo = room(played)
    clean = through(EchoCanceller(), played, echo)
    settled = int(CONVERGED_AFTER_S * APM_RATE_HZ)
    assert power_db(echo[settled : len(clean)]) - power_db(clean[settled:]) > 25


def test_the_user_is_heard_over_it() -> None:
    seconds = 8
    played = voice("two_cities", seconds)
    user = np.zeros_like(played)
    line = voice("beckett", 3)
    start = int(4 * APM_RATE_HZ)
    user[start : start + len(line)] = line
    clean = through(EchoCanceller(), played, room(played) + user)
    speaking = slice(start, start + len(line))
    assert power_db(user[speaking]) - power_db(clean[speaking]) < 6


def test_a_frame_keeps_its_length() -> None:
    assert APM_FRAME_BYTES == APM_RATE_HZ * APM_FRAME_MS // 1000 * 2
    canceller = EchoCanceller()
    canceller.played(bytes(APM_FRAME_BYTES))
    assert len(canceller.heard(bytes(APM_FRAME_BYTES), 10.4)) == APM_FRAME_BYTES
