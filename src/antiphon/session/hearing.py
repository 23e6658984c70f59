"""The ear: the user's audio on its way to the VAD and to the recognizer.

Audio is judged window by window, in order, and reaches the turn that is open only then: so the ear and the decisions
see the same media time, also when a client sends a minute of audio in one piece.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum, auto

from antiphon.audio import EAR_RATE_HZ, Samples, ms_to_bytes, samples_of
from antiphon.core.energy_gate import EnergyGate, level_of
from antiphon.core.events import FinalHeard, PartialHeard, SpeechPaused, SpeechStarted
from antiphon.core.last_sound import trailing_silence_ms
from antiphon.core.settings import Detection, SessionSettings
from antiphon.core.speech_gate import SpeechGate
from antiphon.engines.base import VAD_WINDOW_SAMPLES, Recognizer, Vad
from antiphon.errors import ProtocolError
from antiphon.ids import TurnId
from antiphon.session.identity import Identity
from antiphon.session.utterance import LEAD_MS, Utterance

_WINDOW_BYTES = VAD_WINDOW_SAMPLES * 2
_IN_FLIGHT = 32
"""So many windows may be with the VAD at a time (1 s of audio); the others wait here."""

_WAITING_BYTES = 120 * EAR_RATE_HZ * 2
"""Audio that waits beyond two minutes pushes out the oldest."""

_LEAST_COMMIT_MS = 100
"""Less audio than this is nothing to commit, as in the Realtime protocol."""

_RECENT_BYTES = 4 * EAR_RATE_HZ * 2
"""Audio before a turn that is kept: the prefix, and what the VAD needed to make up its mind."""


class _Asked(Enum):
    """What the VAD is asked about a window."""

    NOTHING = auto()
    """It is too quiet to be speech."""
    TO_LISTEN = auto()
    """The same, but speech was near: the VAD hears it to stay in the picture, and its answer does not count."""
    FOR_SPEECH = auto()


class Hearing:
    """The ear of one session."""

    def __init__(
        self,
        vad: Vad,
        recognizer: Recognizer,
        settings: SessionSettings,
        post: Callable[[SpeechStarted | SpeechPaused | PartialHeard | FinalHeard], None],
        identity: Identity | None = None,
    ) -> None:
        self._recognizer = recognizer
        self._settings = settings
        self._post = post
        self._identity = identity
        self._stream = vad.open(self._on_probability)
        self._gate = SpeechGate(settings.turn.threshold)
        self._energy = EnergyGate()
        self._tail = b""
        """Less than a window."""
        self._waiting: deque[bytes] = deque()
        self._flying: deque[tuple[bytes, _Asked]] = deque()
        """Windows in order, and what the VAD was asked about them."""
        self._at_vad = 0
        self._judging = False
        self._recent = bytearray()
        self._position_bytes = 0
        self._uncommitted_from_bytes = 0
        self._utterance: Utterance | None = None

    @property
    def position_ms(self) -> int:
        """How much audio has been judged."""
        return self._position_bytes * 1000 // (2 * EAR_RATE_HZ)

    @property
    def uncommitted_from_ms(self) -> int:
        """Where the audio begins that is in no turn yet."""
        return self._uncommitted_from_bytes * 1000 // (2 * EAR_RATE_HZ)

    def uncommitted(self) -> tuple[int, int]:
        """Where the audio begins that is in no turn yet, and where it ends, in ms, after all of it was judged.

        Raises ProtocolError where it is too little for a client to commit.
        """
        self.flush()
        start_ms, end_ms = self.uncommitted_from_ms, self.position_ms
        if end_ms - start_ms < _LEAST_COMMIT_MS:
            raise ProtocolError(
                f"Error committing input audio buffer: buffer too small. Expected at least {_LEAST_COMMIT_MS}ms of "
                f"audio, but buffer only has {end_ms - start_ms}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        return start_ms, end_ms

    def configure(self, settings: SessionSettings) -> None:
        was_manual = self._manual
        self._settings = settings
        self._gate.threshold = settings.turn.threshold
        if self._manual and not was_manual:
            self._forget_edges()
        elif was_manual and not self._manual:
            self._abandon()

    @property
    def _manual(self) -> bool:
        return self._settings.turn.detection is Detection.MANUAL

    def hear(self, pcm: bytes) -> None:
        """Mono s16 at 16 kHz, any even length."""
        pcm = self._tail + pcm
        whole = len(pcm) - len(pcm) % _WINDOW_BYTES
        self._tail = pcm[whole:]
        for start in range(0, whole, _WINDOW_BYTES):
            self._waiting.append(pcm[start : start + _WINDOW_BYTES])
        while len(self._waiting) * _WINDOW_BYTES > _WAITING_BYTES:
            self._waiting.popleft()
        self._judge_waiting()

    def _judge_waiting(self) -> None:
        if self._judging:
            return  # a VAD may answer inside push
        self._judging = True
        while self._waiting and self._at_vad < _IN_FLIGHT:
            window = self._waiting.popleft()
            samples = samples_of(window)
            asked = _Asked.NOTHING if self._manual else self._what_to_ask(samples)
            self._flying.append((window, asked))
            if asked is not _Asked.NOTHING:
                self._at_vad += 1
                self._stream.push(samples)
            else:
                self._land_unasked()
        self._judging = False

    def _what_to_ask(self, samples: Samples) -> _Asked:
        maybe = self._energy.may_be_speech(level_of(samples))
        # Within speech the VAD goes on listening: a steady sound would else pass for noise after some seconds.
        if not maybe and not self._gate.speaking:
            return _Asked.NOTHING
        return _Asked.TO_LISTEN if self._energy.surely_silent else _Asked.FOR_SPEECH

    def _on_probability(self, probability: float) -> None:
        self._at_vad -= 1
        window, asked = self._flying.popleft()
        self._judged(window, 0.0 if asked is _Asked.TO_LISTEN else probability)
        self._land_unasked()
        self._judge_waiting()

    def _land_unasked(self) -> None:
        """The windows that the VAD was not asked about, up to the next that it was."""
        while self._flying and self._flying[0][1] is _Asked.NOTHING:
            self._judged(self._flying.popleft()[0], 0.0)

    def _judged(self, window: bytes, probability: float) -> None:
        self._position_bytes += len(window)
        if self._manual:
            self._hear_manual(window)
            return
        self._recent += window
        if len(self._recent) > 2 * _RECENT_BYTES:
            del self._recent[:-_RECENT_BYTES]
        if self._utterance is not None:
            self._utterance.feed(window)
        edge = self._gate.push(probability, self.position_ms)
        if edge is not None:
            self._post(edge)

    def _hear_manual(self, window: bytes) -> None:
        """All audio up to the client's commit is one turn; it is recognized as it comes."""
        if self._utterance is None:
            self._utterance = self._new_utterance(prefix_bytes=0)
        self._utterance.feed(window)

    def trailing_silence_ms(self, at_ms: int) -> int:
        """How much earlier than ``at_ms``, where the VAD says that speech has ended, it truly had; 0 if unknown."""
        back = self._position_bytes - ms_to_bytes(at_ms, EAR_RATE_HZ)
        if not 0 < back < len(self._recent):
            return 0
        recent = samples_of(bytes(self._recent))
        end = len(recent) - back // 2
        return trailing_silence_ms(recent[max(0, end - EAR_RATE_HZ) : end], recent[end:])

    def flush(self) -> None:
        """Takes in the rest that fills no window, before a client's commit."""
        if self._manual and self._tail:
            tail, self._tail = self._tail, b""
            self._judged(tail, 0.0)

    def open(self, turn: TurnId, at_ms: int) -> Utterance:
        """Begins the turn at ``at_ms`` less the prefix, as far as that audio is still here and in no other turn."""
        utterance = self._utterance
        if utterance is None:
            start = ms_to_bytes(max(0, at_ms - self._settings.turn.prefix_padding_ms), EAR_RATE_HZ)
            start = max(start, self._uncommitted_from_bytes)
            back = min(len(self._recent), max(0, self._position_bytes - start))
            utterance = self._new_utterance(back)
            if back:
                utterance.feed(bytes(self._recent[-back:]))
            self._utterance = utterance
        utterance.name(turn)
        return utterance

    def _new_utterance(self, prefix_bytes: int) -> Utterance:
        voices = None if self._identity is None else self._identity.open()
        heard = self._settings.turn.hears_audio
        utterance = Utterance(self._recognizer, self._settings.language, self._post, voices, heard=heard)
        if prefix_bytes < ms_to_bytes(LEAD_MS, EAR_RATE_HZ):
            utterance.lead_in()
        return utterance

    def commit(self, end_ms: int) -> None:
        """The open turn has all its audio. What came after its end may be the prefix of the next."""
        self._utterance = None
        self._forget_edges()
        self._uncommitted_from_bytes = min(ms_to_bytes(end_ms, EAR_RATE_HZ), self._position_bytes)

    def clear(self) -> None:
        """Forgets the audio that is in no committed turn."""
        self._waiting.clear()
        self._tail = b""
        self._abandon()
        self._forget_edges()
        self._uncommitted_from_bytes = self._position_bytes

    def _forget_edges(self) -> None:
        """Speech that goes on after a commit or a clear in its midst begins anew."""
        if self._gate.speaking:
            self._gate = SpeechGate(self._settings.turn.threshold)

    def drop(self) -> None:
        """The open turn was none; its audio stays available as the prefix of the next."""
        self._utterance = None

    def _abandon(self) -> None:
        utterance, self._utterance = self._utterance, None
        if utterance is not None and utterance.turn is None:
            utterance.close()

    def close(self) -> None:
        self._stream.close()
        if self._utterance is not None:
            self._utterance.close()
