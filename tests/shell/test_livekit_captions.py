"""Captions: from the events of a session to LiveKit's text streams."""

from __future__ import annotations

from typing import Any

import orjson
from tests.shell.livekit_room import Caption, Me, Venue

from antiphon.transport.limits import Limits
from antiphon.transport.livekit.captions import FINAL, SEGMENT, TRACK, CaptionLine, Speaker

USER: Speaker = ("ann", "TR_ann")


class Session:
    def __init__(self, user: Speaker | None = USER) -> None:
        self.venue = Venue()
        self.line = CaptionLine(self.venue, Me(self.venue), ("agent", "TR_agent"), lambda: user, Limits())

    async def tells(self, kind: str, **values: Any) -> None:
        await self.line.send(orjson.dumps({"type": kind, "event_id": "e", **values}))

    async def begins(self, response: str, conversation: str | None = "conv") -> None:
        await self.tells("response.created", response={"id": response, "conversation_id": conversation})

    async def says(self, item: str, words: str, response: str = "r1") -> None:
        await self.tells("response.output_audio_transcript.delta", response_id=response, item_id=item, delta=words)

    async def ends(self, item: str, response: str = "r1") -> None:
        await self.tells("response.output_audio_transcript.done", response_id=response, item_id=item, transcript="?")

    @property
    def captions(self) -> list[Caption]:
        return self.venue.captions


async def test_a_reply_is_one_stream_that_grows() -> None:
    session = Session()
    await session.begins("r1")
    await session.says("i1", "Hello")
    await session.says("i1", " there.")
    (caption,) = session.captions
    assert not caption.closed
    assert caption.attributes == {SEGMENT: "i1", FINAL: "false", TRACK: "TR_agent"}
    await session.ends("i1")
    assert caption.closed
    assert (caption.sender, caption.text, caption.attributes[FINAL]) == ("agent", "Hello there.", "true")
    await session.says("i2", "Next.")
    assert [other.text for other in session.captions] == ["Hello there.", "Next."]


async def test_written_replies_are_shown_too() -> None:
    session = Session()
    await session.tells("response.output_text.delta", response_id="r1", item_id="i1", delta="Hello.")
    await session.tells("response.output_text.done", response_id="r1", item_id="i1", text="Hello.")
    assert [(caption.text, caption.closed) for caption in session.captions] == [("Hello.", True)]


async def test_what_is_beside_the_conversation_is_not_shown() -> None:
    session = Session()
    await session.begins("aside", None)
    await session.begins("r1")
    await session.says("i0", "A summary.", "aside")
    await session.says("i1", "Hello.")
    await session.ends("i0", "aside")
    (caption,) = session.captions
    assert (caption.text, caption.closed) == ("Hello.", False)
    await session.tells("response.done", response={"id": "aside"})
    assert session.line._aside == set()


async def test_the_users_words_are_told_anew_each_time() -> None:
    session = Session()
    heard = "conversation.item.input_audio_transcription."
    for words in ("I", " would"):
        await session.tells(heard + "delta", item_id="u1", delta=words)
    await session.tells(heard + "completed", item_id="u1", transcript="I would like tea.")
    await session.tells(heard + "delta", item_id="u2", delta="And")
    assert [caption.text for caption in session.captions] == ["I", "I would", "I would like tea.", "And"]
    assert [caption.attributes[FINAL] for caption in session.captions] == ["false", "false", "true", "false"]
    assert {caption.sender for caption in session.captions} == {"ann"}
    assert all(caption.closed for caption in session.captions)


async def test_nobody_has_said_it() -> None:
    session = Session(user=None)
    kind = "conversation.item.input_audio_transcription.completed"
    await session.tells(kind, item_id="u1", transcript="Words.")
    assert session.captions == []


async def test_a_lost_caption_harms_no_other() -> None:
    session = Session()
    await session.says("i1", "Hello")
    session.venue.broken = True
    await session.says("i1", " there.")
    session.venue.broken = False
    await session.says("i2", "Next.")
    assert [caption.text for caption in session.captions] == ["Hello", "Next."]


async def test_its_end_ends_what_is_open() -> None:
    session = Session()
    await session.says("i1", "Hello")
    await session.line.close(1000, "")
    assert session.captions[0].closed
    assert await session.line.receive() is None
