"""What A.L.I.C.E. takes for turns of a conversation, and how its replies are made speakable."""

from __future__ import annotations

import pytest

from antiphon.core.speech import Message
from antiphon.engines.alice_memory import speakable, turns_of


def test_names_of_speakers_are_no_words() -> None:
    said = [Message("user", "[Ann]: Hello.\n[Speaker 1]: Good evening.")]
    assert [turn.user for turn in turns_of(said)] == ["Hello.\nGood evening."]


def test_turns_are_runs_of_one_speaker() -> None:
    messages = [
        Message("assistant", "Welcome."),
        Message("system", "Be kind."),
        Message("user", "One"),
        Message("user", "two."),
        Message("assistant", call_id="c", name="f", arguments="{}"),
        Message("tool", "{}", call_id="c"),
        Message("assistant", "Three."),
        Message("user", "Four?"),
    ]
    assert [(turn.user, turn.assistant) for turn in turns_of(messages)] == [
        ("", "Welcome."),
        ("One two.", "Three."),
        ("Four?", None),
    ]


@pytest.mark.parametrize(
    ("reply", "spoken"),
    [
        ("I like   music  , especially Opera", "I like music, especially Opera."),
        ("Ask Dr. Wallace at http://alicebot.org/x.html :-)", "Ask Doctor Wallace at."),
        ('" hello "? Really .', '"hello"? Really.'),
        ("So I heard..", "So I heard."),
        ("That is Bob 's house", "That is Bob's house."),
        ("Well...", "Well..."),
        ("cats & dogs", "Cats and dogs."),
        (" ;-) ", ""),
    ],
)
def test_replies_are_made_speakable(reply: str, spoken: str) -> None:
    assert speakable(reply) == spoken
