"""What we ask of LiveKit's SDK against the SDK that is installed."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from typing import Any

import pytest
from livekit import rtc
from livekit.rtc import participant, room
from tests.shell.livekit_room import FakeRoom, Me, Publication

from antiphon.transport.livekit import sdk

OURS = {
    sdk.Publication: rtc.RemoteTrackPublication,
    sdk.LocalPublication: rtc.LocalTrackPublication,
    sdk.RemoteParticipant: rtc.RemoteParticipant,
    sdk.LocalParticipant: rtc.LocalParticipant,
    sdk.Room: rtc.Room,
    sdk.Source: rtc.AudioSource,
    sdk.Stream: rtc.AudioStream,
    sdk.TextWriter: rtc.TextStreamWriter,
    sdk.TextReader: rtc.TextStreamReader,
}
"""What stands for what."""


def members(protocol: type) -> dict[str, Any]:
    own = {name: value for name, value in vars(protocol).items() if not name.startswith("_") or name == "__aiter__"}
    return {name: value for name, value in own.items() if callable(value) or isinstance(value, property)}


def check(protocol: type, real: type) -> list[str]:
    """What of the Protocol is not there, or cannot be called as it is."""
    wrong = []
    for name, member in members(protocol).items():
        theirs = inspect.getattr_static(real, name, None)
        if theirs is None:
            wrong.append(f"{name}: is missing")
        elif isinstance(member, property):
            if not isinstance(theirs, property):
                wrong.append(f"{name}: is no property")
        else:
            wrong += [f"{name}: {reason}" for reason in calls_differ(member, theirs)]
    return wrong


def calls_differ(ours: Any, theirs: Any) -> list[str]:
    if inspect.iscoroutinefunction(ours) != inspect.iscoroutinefunction(theirs):
        return ["one of both is a coroutine"]
    asked, taken = inspect.signature(ours).parameters, inspect.signature(theirs).parameters
    reasons = [f"takes no {name!r}" for name in asked if name not in taken]
    for name, parameter in asked.items():
        if name in taken and taken[name].kind is not parameter.kind:
            reasons.append(f"takes {name!r} as {taken[name].kind.description}")
    needed = {name for name, parameter in taken.items() if parameter.default is parameter.empty} - {"kwargs"}
    return reasons + [f"wants {name!r}" for name in needed - asked.keys()]


@pytest.mark.parametrize(("protocol", "real"), OURS.items(), ids=lambda value: value.__name__)
def test_the_installed_sdk_has_all_that_is_used_of_it(protocol: type, real: type) -> None:
    assert members(protocol), "the check would pass by itself"
    assert check(protocol, real) == []


def test_a_change_of_the_sdk_is_found() -> None:
    class Changed:
        name = "no property"

        def connect(self, url: str, token: str, options: object) -> None: ...

        async def disconnect(self, *, why: str) -> None: ...

    found = check(sdk.Room, Changed)
    assert "name: is no property" in found
    assert "connect: one of both is a coroutine" in found
    assert "disconnect: wants 'why'" in found
    assert "remote_participants: is missing" in found


def test_its_events_and_data_are_as_expected() -> None:
    assert set(sdk.ROOM_EVENTS) <= set(typing.get_args(room.EventTypes))
    assert set(typing.get_type_hints(sdk.DataPacket)) <= {entry.name for entry in dataclasses.fields(rtc.DataPacket)}
    assert "frame" in {entry.name for entry in dataclasses.fields(rtc.AudioFrameEvent)}
    for failure in (participant.PublishDataError, participant.PublishTrackError, rtc.ConnectError, rtc.StreamError):
        assert issubclass(failure, sdk.LiveKit().failures)


def test_the_fake_is_called_as_the_real_one() -> None:
    fakes: dict[type, type] = {sdk.LocalParticipant: Me, sdk.Publication: Publication}
    for protocol, fake in fakes.items():
        for name, member in members(protocol).items():
            if not isinstance(member, property):
                assert calls_differ(member, getattr(fake, name)) == [], name
    for name in ("connect", "disconnect", "register_text_stream_handler"):
        assert calls_differ(getattr(sdk.Room, name), getattr(FakeRoom, name)) == []


async def test_nobody_is_heard_before_he_is_chosen() -> None:
    given: list[Any] = []

    class Listener:
        async def connect(self, url: str, token: str, options: rtc.RoomOptions) -> None:
            given.extend((url, token, options))

    await sdk.LiveKit().connect(typing.cast(sdk.Room, Listener()), "wss://host", "token", 1000)
    assert given[:2] == ["wss://host", "token"]
    assert not given[2].auto_subscribe
    assert given[2].data_stream.max_payload_byte_length == 1000


async def test_a_server_that_is_not_there_is_a_failure_that_we_know() -> None:
    real = sdk.LiveKit()
    with pytest.raises(real.failures, match="refused"):
        await real.connect(real.room(), "ws://127.0.0.1:9", "token", 1000)


def test_only_voices_and_people_count() -> None:
    real = sdk.LiveKit()
    kinds, sources = rtc.TrackKind, rtc.TrackSource

    def publication(kind: int, source: int) -> Any:
        return dataclasses.make_dataclass("Entry", ["kind", "source"])(kind, source)

    assert real.is_voice(publication(kinds.KIND_AUDIO, sources.SOURCE_MICROPHONE))
    assert real.is_voice(publication(kinds.KIND_AUDIO, sources.SOURCE_UNKNOWN))
    assert not real.is_voice(publication(kinds.KIND_AUDIO, sources.SOURCE_SCREENSHARE_AUDIO))
    assert not real.is_voice(publication(kinds.KIND_VIDEO, sources.SOURCE_CAMERA))
