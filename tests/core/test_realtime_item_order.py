from __future__ import annotations

from antiphon.core.conversation import ROOT
from antiphon.ids import ItemId
from antiphon.transport.realtime.item_order import ItemOrder

FIRST, SECOND, THIRD, LAST = (ItemId(f"item_{number}") for number in range(4))


def test_an_item_at_the_end_names_the_one_before_it() -> None:
    order = ItemOrder()
    assert order.append(FIRST) is None
    assert order.append(SECOND) == FIRST
    order.remove(SECOND)
    assert order.append(THIRD) == FIRST


def test_an_item_goes_behind_the_one_that_it_names_and_else_to_the_end() -> None:
    order = ItemOrder()
    order.insert(FIRST, None)
    order.insert(THIRD, FIRST)
    order.insert(SECOND, FIRST)
    order.insert(LAST, ItemId("gone"))
    order.remove(LAST)
    assert order.append(LAST) == THIRD
    order.insert(ItemId("front"), ROOT)
    order.insert(THIRD, ROOT)  # it is there already, and stays where it is
    order.remove(LAST)
    assert order.append(LAST) == THIRD
