from __future__ import annotations

from typing import Any

from antiphon.agents.overheard import overheard
from antiphon.agents.runtime import AgentSession
from antiphon.core.actions import State
from antiphon.ids import ItemId, ReplyId
from antiphon.transport.base import Outlet


class Client:
    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []

    def state(self, state: State) -> None:
        self.told.append(("state", state))

    def cleared(self) -> None:
        self.told.append(("cleared",))

    def reply_audio(self, reply: ReplyId, item: ItemId, pcm: bytes) -> None:
        self.told.append(("audio", pcm))


def test_everything_goes_on_to_the_client_but_what_is_kept_from_it() -> None:
    client, heard = Client(), []

    def hear(state: State) -> bool:
        heard.append(state)
        return state is State.IDLE

    outlet: Outlet = overheard(client, {"state": hear})  # type: ignore[arg-type]
    outlet.state(State.IDLE)
    outlet.state(State.THINKING)
    outlet.cleared()
    outlet.reply_audio(ReplyId("resp_1"), ItemId("item_1"), b"ab")
    assert heard == [State.IDLE, State.THINKING]
    assert client.told == [("state", State.IDLE), ("cleared",), ("audio", b"ab")]


def test_a_hearer_that_says_nothing_keeps_nothing_back() -> None:
    client = Client()
    outlet = overheard(client, {"state": lambda state: None})  # type: ignore[arg-type]
    outlet.state(State.IDLE)
    assert client.told == [("state", State.IDLE)]


def test_a_family_of_methods_has_one_hearer_but_for_those_with_their_own() -> None:
    class Writer:
        def __init__(self) -> None:
            self.told: list[str] = []

        def transcript_delta(self, text: str) -> None:
            self.told.append(text)

        def transcript_completed(self, text: str) -> None:
            self.told.append(text)

    writer = Writer()
    hearers = {"transcript_*": lambda text: False, "transcript_completed": lambda text: True}
    outlet: Any = overheard(writer, hearers)  # type: ignore[arg-type]
    outlet.transcript_delta("a")
    outlet.transcript_completed("b")
    assert writer.told == ["b"]


def test_audio_goes_straight_to_the_client() -> None:
    client = Client()
    outlet = overheard(client, {})  # type: ignore[arg-type]
    assert outlet.reply_audio == outlet.reply_audio == client.reply_audio


def test_the_agent_listens_to_what_sessions_tell() -> None:
    names = AgentSession._hearers(AgentSession.__new__(AgentSession))
    assert all(callable(getattr(Outlet, name, None)) for name in names if name != "transcript_*")
    assert any(name.startswith("transcript_") for name in vars(Outlet))
