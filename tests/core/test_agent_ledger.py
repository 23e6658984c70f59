from __future__ import annotations

from antiphon.agents.ledger import Ledger
from antiphon.ids import ReplyId

REPLY = ReplyId("resp_1")


def ours(name: str) -> bool:
    return name.startswith("our")


def test_a_round_is_over_with_its_last_result() -> None:
    ledger = Ledger()
    for piece in ('{"a"', ": 1}"):
        ledger.told(REPLY, "call_1", "our_one", piece)
    ledger.told(REPLY, "call_2", "our_two", "{}")
    calls = ledger.reply_over(REPLY, ours)
    assert calls is not None
    assert calls.ours["call_1"].arguments == '{"a": 1}'
    assert not calls.with_client and not ledger.holds_client
    assert ledger.answered("call_1") is None
    assert ledger.answered("call_1") is None, "once"
    assert ledger.answered("call_2") is calls
    assert calls.over


def test_the_client_waits_for_our_part_of_a_round() -> None:
    ledger = Ledger()
    ledger.told(REPLY, "call_1", "our_one", "{}")
    ledger.told(REPLY, "call_2", "theirs", "{}")
    calls = ledger.reply_over(REPLY, ours)
    assert calls is not None and calls.with_client
    assert list(calls.ours) == ["call_1"]
    assert ledger.holds_client
    assert ledger.answered("call_2") is None, "it is not ours"
    assert ledger.answered("call_1") is calls
    assert not ledger.holds_client


def test_calls_of_the_client_alone_are_no_round() -> None:
    ledger = Ledger()
    ledger.told(REPLY, "call_1", "theirs", "{}")
    assert ledger.reply_over(REPLY, ours) is None
    assert ledger.reply_over(ReplyId("resp_2"), ours) is None
    assert not ledger.holds_client


def test_calls_of_a_reply_that_was_cut_off_are_taken_back() -> None:
    ledger = Ledger()
    ledger.told(REPLY, "call_1", "our_one", "{")
    ledger.told(REPLY, "call_2", "theirs", "{")
    assert [call.id for call in ledger.taken_back(REPLY, ours)] == ["call_1"]
    assert ledger.reply_over(REPLY, ours) is None


def test_a_round_of_which_all_was_taken_back_is_known_as_such() -> None:
    ledger = Ledger()
    for call in ("call_1", "call_2"):
        ledger.told(REPLY, call, "our_one", "{}")
    calls = ledger.reply_over(REPLY, ours)
    assert calls is not None
    ledger.answered("call_1", run=False)
    assert calls.taken_back
    ledger.answered("call_2")
    assert not calls.taken_back
