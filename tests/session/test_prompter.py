"""What a client is told before it is heard."""

from __future__ import annotations

from antiphon.session.prompter import Prompter


def prompter(told: list[str]) -> Prompter:
    return Prompter(lambda name: told.append(f"<{name}>"), told.append)


def test_what_is_prepared_waits_until_it_is_let_out() -> None:
    told: list[str] = []
    made = prompter(told)
    made.voice("amy")
    made.clause("One, ")
    assert told == []
    made.let_out()
    made.voice("amy")
    made.clause("two.")
    assert told == ["<amy>", "One, ", "two."]


def test_a_voice_that_failed_while_the_reply_was_prepared_is_not_told() -> None:
    told: list[str] = []
    made = prompter(told)
    made.voice("amy")
    made.clause("One, ")
    made.voice("joe")
    made.let_out()
    assert told == ["<joe>", "One, "]


def test_a_change_of_voice_is_told_where_it_happens() -> None:
    told: list[str] = []
    made = prompter(told)
    made.let_out()
    for voice, clause in (("amy", "one "), ("amy", "two "), ("joe", "three "), ("amy", "four")):
        made.voice(voice)
        made.clause(clause)
    assert told == ["<amy>", "one ", "two ", "<joe>", "three ", "<amy>", "four"]
