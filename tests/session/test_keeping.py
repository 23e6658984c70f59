"""Conversations that go on in another session: written down while they last, with the words that were heard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from antiphon.core.commands import CreateItem, DeleteItem, Recount
from antiphon.core.conversation import ROOT, Item
from antiphon.core.memory import Memory
from antiphon.ids import ItemId
from antiphon.session.keeping import About, Change, Keeper, Kept, Notebook, StoreError
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual

ID = "conv_1"
HOLDER = "sess_1"


class Store:
    """A ConversationStore of one conversation, in memory."""

    def __init__(self) -> None:
        self.items: dict[ItemId, tuple[int, Item]] = {}
        self.notes = ""
        self.covered: frozenset[ItemId] = frozenset()
        self.changes: list[Change] = []
        self.broken = False
        self.there = False
        self.agent = ""
        self.left: list[str] = []

    async def claim(self, conversation: str, holder: str) -> Kept | None:
        ordered = sorted(self.items.values(), key=lambda entry: entry[0])
        return Kept(tuple(replace(item) for _, item in ordered), self.notes, self.covered, self.agent)

    def leave(self, conversation: str, holder: str) -> None:
        self.left.append(holder)

    async def save(self, conversation: str, change: Change, holder: str) -> bool:
        if self.broken:
            raise StoreError("the disk is full")
        assert conversation == ID
        self.there |= change.begins
        if not self.there:
            return False
        self.changes.append(change)
        for item in change.removed:
            del self.items[item]
        self.items |= {item.id: (place, item) for place, item in change.items.items()}
        self.notes, self.covered, self.agent = change.notes, change.covered, change.agent
        return True

    async def about(self, conversation: str) -> About | None:
        return About(ID, 0, 0, len(self.items)) if conversation == ID else None

    async def delete(self, conversation: str) -> bool:
        was, self.there = self.there, False
        self.items.clear()
        return was


@asynccontextmanager
async def conversing(store: Store, *, seed: int = 1, llm: str = "tokens=12") -> AsyncIterator[Caller]:
    kept = await store.claim(ID, HOLDER)
    assert kept is not None
    memory = Memory(10_000, notes=kept.notes, covered=kept.covered)
    notebook = Notebook(store, ID, HOLDER, kept)
    async with call(scripted_suite(llm=llm), memory=memory, notebook=notebook, seed=seed) as caller:
        yield caller


def told(store: Store) -> list[tuple[str, str]]:
    return [(item.role or item.kind, item.text or item.output) for _, item in sorted(store.items.values(), key=_place)]


def _place(entry: tuple[int, Item]) -> int:
    return entry[0]


def test_a_conversation_goes_on_with_the_words_that_were_heard() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store, llm="tokens=60") as caller:
            await caller.say("hello there")
            await caller.hears("three four")
            await caller.say("stop")
            await caller.answer()
            heard = caller.context()[1]
            assert heard[0] == "assistant"
            assert heard[1].startswith("one two three")
            assert len(heard[1].split()) < 20
        async with conversing(store, seed=2) as caller:
            assert caller.context()[:2] == [("user", "hello there"), heard]
            await caller.type("repeat")
            assert (await caller.answer()).transcript == heard[1]

    run_virtual(main())


def test_the_client_is_told_what_there_is_in_order() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store) as caller:
            await caller.type("hello")
            await caller.answer()
            await caller.rest()
            ids = [item.id for item in caller.session.conversation]
        async with conversing(store, seed=2) as caller:
            caller.session.post(Recount())
            await caller.until(lambda: len(caller.outlet.named("item_done")) == 2)
            added = caller.outlet.named("item_added")
            assert [entry.args[:2] for entry in added] == [(ids[0], None), (ids[1], ids[0])]

    run_virtual(main())


def test_it_is_written_while_it_lasts() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store) as caller:
            await caller.type("hello", respond=False)
            await caller.pause(1500)
            assert told(store) == [("user", "hello")]
            await caller.pause(60_000)
            assert len(store.changes) == 1, "nothing is written where nothing has changed"
            await caller.say("and now")
            await caller.answer()
            await caller.pause(1500)
            assert [role for role, _ in told(store)] == ["user", "user", "assistant"]
            written = [len(change.items) for change in store.changes]
            assert sum(written) <= 5, "and only what has"

    run_virtual(main())


def test_what_is_put_between_and_what_is_deleted_is_so_afterwards() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store) as caller:
            await caller.type("one", respond=False)
            await caller.type("three", respond=False)
            await caller.pause(1500)
            first, third = [item.id for item in caller.session.conversation]
            caller.session.post(CreateItem(Item(ItemId("second"), "message", "user", text="two"), first))
            caller.session.post(CreateItem(Item(ItemId("zero"), "message", "system", text="zero"), ROOT))
            caller.session.post(DeleteItem(third))
            await caller.pause(1500)
            assert told(store) == [("system", "zero"), ("user", "one"), ("user", "two")]
        async with conversing(store, seed=2) as caller:
            await caller.type("four", respond=False)
        assert [text for _, text in told(store)] == ["zero", "one", "two", "four"]

    run_virtual(main())


def test_notes_are_kept_with_what_they_stand_for() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store) as caller:
            await caller.type("hello", respond=False)
            await caller.pause(1500)
        store.notes, store.covered = "They said hello.", frozenset(store.items)
        async with conversing(store, seed=2) as caller:
            await caller.type("repeat", respond=False)
        assert store.notes == "They said hello."
        assert len(store.covered) == 1

    run_virtual(main())


def test_a_disk_that_is_full_ends_no_conversation() -> None:
    async def main() -> None:
        store = Store()
        store.broken = True
        async with conversing(store) as caller:
            await caller.type("hello")
            assert (await caller.answer()).status == "completed"
            await caller.pause(2000)
            store.broken = False
            await caller.type("again", respond=False)
            await caller.pause(2000)
            assert [role for role, _ in told(store)] == ["user", "assistant", "user"]

    run_virtual(main())


def test_one_that_is_deleted_while_it_lasts_is_not_begun_anew() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store) as caller:
            await caller.type("hello", respond=False)
            await caller.pause(1500)
            assert await store.delete(ID)
            await caller.type("what did I say")
            assert (await caller.answer()).status == "completed"
            await caller.pause(1500)
        assert not store.items

    run_virtual(main())


def test_an_empty_conversation_is_not_kept() -> None:
    async def main() -> None:
        store = Store()
        async with conversing(store) as caller:
            await caller.pause(3000)
        assert not store.changes

    run_virtual(main())


def test_whose_it_is_is_written_with_it_and_it_is_left_at_the_end() -> None:
    async def main() -> None:
        store = Store()
        notebook = Notebook(store, ID, HOLDER, Kept())
        notebook.in_charge("day")
        async with call(scripted_suite(), notebook=notebook) as caller:
            await caller.pause(3000)
            assert not store.changes, "an agent alone begins no conversation"
            await caller.type("hello", respond=False)
            await caller.pause(1500)
            assert store.agent == "day"
            notebook.in_charge("night")
            await caller.pause(1500)
            assert (store.agent, len(store.changes)) == ("night", 2)
            assert not store.left
        assert store.left == [HOLDER]

    run_virtual(main())


def test_each_session_gets_its_own_notebook_once() -> None:
    keeper = Keeper(Store())
    keeper.assign("sess_1", ID, Kept(notes="They said hello."))
    notebook = keeper.notebook("sess_1")
    assert notebook is not None
    assert notebook.kept.notes == "They said hello."
    assert keeper.notebook("sess_1") is None
    assert keeper.notebook("sess_2") is None
