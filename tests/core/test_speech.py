"""What passes between conversations and engines."""

from __future__ import annotations

from antiphon.core.speech import Word


def test_a_word_moves_with_its_text_and_its_audio() -> None:
    assert Word(1, 4, 100, 300).moved(20, 5000) == Word(21, 24, 5100, 5300)
    assert Word(1, 4, 100, 300).moved(0, -100) == Word(1, 4, 0, 200)
