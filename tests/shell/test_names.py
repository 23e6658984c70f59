"""Options that take several engines."""

from __future__ import annotations

from antiphon.apps.names import names_in


def test_commas_within_a_scripted_engine_belong_to_it() -> None:
    given = ["pico, espeak", "scripted:speed=4,first_audio_ms=3,piper:en_US-amy-medium", "pico"]
    expected = ("pico", "espeak", "scripted:speed=4,first_audio_ms=3", "piper:en_US-amy-medium")
    assert names_in(given) == expected


def test_what_a_url_has_behind_it_belongs_to_it() -> None:
    given = "http://127.0.0.1:11434/v1#qwen3:8b,alice"
    assert names_in([given]) == ("http://127.0.0.1:11434/v1#qwen3:8b", "alice")
