"""Identifiers."""

from __future__ import annotations

from antiphon.ids import IdSource


def mint_all(ids: IdSource) -> list[str]:
    return [ids.turn(), ids.reply(), ids.item(), ids.event(), ids.session(), ids.conversation(), ids.call()]


def test_a_seed_gives_the_same_again() -> None:
    assert mint_all(IdSource(7)) == mint_all(IdSource(7))
    assert mint_all(IdSource(7)) != mint_all(IdSource(8))


def test_without_a_seed_none_comes_twice() -> None:
    minted = [one for _ in range(200) for one in mint_all(IdSource())]
    assert len(set(minted)) == len(minted)


def test_the_prefix_tells_the_kind() -> None:
    prefixes = [one.split("_")[0] for one in mint_all(IdSource(1))]
    assert prefixes == ["item", "resp", "item", "event", "sess", "conv", "call"]
    assert all(len(one.split("_")[1]) == 21 and one.split("_")[1].isalnum() for one in mint_all(IdSource(1)))
