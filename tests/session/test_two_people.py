"""A room with two people and an assistant that listens: thirty timed utterances, and what it says to each, or does not.

The brain decides by rules of this scenario, from the words that it has heard and from nothing else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.session.test_thirty_minutes import Inspector

from antiphon.core.events import Event, FinalHeard, PartialHeard
from antiphon.core.settings import Answers, ListeningSettings, ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import Message
from antiphon.session.session import Session
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual

LIGHTHOUSE = (
    "The old lighthouse was built by three brothers. Each of them kept the light for ten years, and none of them ever "
    "learned to swim. On the last night a storm took the door away."
)
FACTS = {
    "weather": "It is sunny and warm.",
    "mountains": "There is snow in the mountains.",
    "train": "The next train leaves at nine.",
    "lighthouse": LIGHTHOUSE,
    "twenty": "A timer for twenty minutes.",
    "ten": "A timer for ten minutes.",
    "soup": "Peel two onions and a leek.",
    "salt": "One spoon of salt.",
    "thanks": "You are welcome.",
    "name": "I am Juno.",
}
UNFINISHED = {"the", "a", "to", "and", "for", "about", "is", "with", "of", "in", "on"}
TAKEN_BACK = ("never mind", "forget it")


def newest_talk(messages: Sequence[Message]) -> str:
    """All that was said since it spoke, or decided that something was not for it."""
    talk: list[str] = []
    for message in reversed(messages):
        if message.role == "assistant" and ("speak" in message.text or "not for me" in message.text.lower()):
            break
        if message.role == "user":
            talk.insert(0, message.text)
    return "\n".join(talk)


def decide(messages: Sequence[Message]) -> str:
    """What the assistant writes: it answers who asks it, lets people finish, and keeps quiet otherwise."""
    talk = newest_talk(messages)
    over = talk.endswith("[silence]")
    speaker = (re.findall(r"\[(\w+)\]:", talk) or ["somebody"])[-1]
    words = re.sub(r"\[\w+\]:?", "", talk).split()
    text = " ".join(words)
    if "juno" not in words:
        return "That was not for me." if over else ""
    if words[-1] in UNFINISHED:
        return f"{speaker} has not finished. " if over else ""
    asked = text[max((text.rfind(phrase) for phrase in TAKEN_BACK), default=-1) + 1 :]
    if asked != text and not any(fact in asked.split() for fact in FACTS):
        return "They took it back: not for me." if over else ""
    if words[-1] == "quiet":
        return f"{speaker} wants silence. </speak>"
    fact = next((word for word in reversed(words) if word in FACTS), None)
    if fact is None:
        return "Something is missing. " if over else ""
    stop = "</speak> " if "lighthouse was built" in str(messages) and "juno wait" in text else ""
    return f"{stop}{speaker} asks about {fact}. <speak>{FACTS[fact]}</speak> Done."


class Room(Session):
    """Knows who speaks, as a model of voices would tell it."""

    who = "Nora"

    def _post_event(self, event: Event) -> None:
        if isinstance(event, PartialHeard | FinalHeard):
            event = replace(event, speaker=self.who)
        super()._post_event(event)


@dataclass(frozen=True, slots=True)
class Line:
    """An utterance ``after_ms`` of silence, or, ``over`` what the assistant says, once that word was heard."""

    speaker: str
    words: str
    says: str | None = None
    """What the assistant answers; None for nothing."""
    after_ms: int = 1200
    over: str | None = None
    stops: bool = False
    """What it is saying is cut."""
    goes_on: bool = False
    """What it is saying goes on to its end."""
    awaits: bool = True
    """The scene goes on when the assistant has done what it should; otherwise at once."""


NORA, FELIX = "Nora", "Felix"
SCENE = (
    Line(NORA, "juno what is the weather like today", FACTS["weather"]),
    Line(FELIX, "nora did you feed the cat"),
    Line(NORA, "yes this morning before breakfast"),
    Line(FELIX, "juno when does the", awaits=False),
    Line(FELIX, "next train to town leave", FACTS["train"], after_ms=700),
    Line(NORA, "juno set a timer for ten minutes wait actually never mind that"),
    Line(NORA, "juno set a timer for ten no wait make it twenty minutes", FACTS["twenty"]),
    Line(FELIX, "it smells of rain nora"),
    Line(NORA, "does it really i thought the weather was fine"),
    Line(FELIX, "juno tell us about the old lighthouse", LIGHTHOUSE, awaits=False),
    Line(NORA, "juno wait how is the weather tomorrow", FACTS["weather"], over="brothers", stops=True),
    Line(FELIX, "juno tell us about the old lighthouse again", LIGHTHOUSE, awaits=False),
    Line(NORA, "yeah", over="brothers", goes_on=True),
    Line(FELIX, "juno thanks", FACTS["thanks"]),
    Line(NORA, "juno how is the weather", awaits=False),
    Line(NORA, "in the mountains", FACTS["mountains"], after_ms=140),
    Line(FELIX, "we should go there some day"),
    Line(NORA, "who are you talking to"),
    Line(FELIX, "to you of course"),
    Line(FELIX, "juno how do i make a soup", FACTS["soup"]),
    Line(NORA, "and juno how much salt", FACTS["salt"]),
    Line(FELIX, "juno i would like to know about", awaits=False),
    Line(FELIX, "your name", FACTS["name"], after_ms=900),
    Line(NORA, "felix wait actually never mind that"),
    Line(NORA, "juno what about the train no forget it how is the weather", FACTS["weather"]),
    Line(FELIX, "juno tell me about the lighthouse", LIGHTHOUSE, awaits=False),
    Line(NORA, "felix the soup is burning come here", over="built", stops=True),
    Line(FELIX, "juno the lighthouse please", LIGHTHOUSE, awaits=False),
    Line(FELIX, "juno please be quiet", over="ten", stops=True),
    Line(NORA, "juno set a timer for twenty", FACTS["twenty"]),
    Line(FELIX, "good night then"),
)


def settings_of() -> SessionSettings:
    turn = TurnSettings(paced=True, answers=Answers.LISTENING, silence_duration_ms=500)
    return SessionSettings(turn, ReplySettings(), ListeningSettings(wait_k=3, speak_tool=True), transcription=True)


async def perform(caller: Caller, line: Line) -> tuple[float, float]:
    """Speaks a line; returns when its speaker began, and ended."""
    assert isinstance(caller.session, Room)
    if line.over is not None:
        await caller.hears(line.over)
    await caller.pause(line.after_ms if line.over is None else 0)
    caller.session.who = line.speaker
    return await caller.say(line.words), caller.now


async def check(caller: Caller, line: Line, ended_at: float, spoke: list[HeardReply]) -> None:
    """Waits for what the line should bring about, and looks at nothing else having come."""
    if line.says is not None:
        await caller.until(lambda: len(caller.outlet.replies) > len(spoke))
        spoke.append(caller.outlet.latest)
        reply = spoke[-1]
        await caller.until(lambda: reply.first_audio_at is not None)
        assert reply.first_audio_at is not None
        assert ended_at < reply.first_audio_at < ended_at + 0.75, line
        if line.awaits:
            await caller.until(lambda: reply.status is not None)
            assert (reply.status, reply.transcript) == ("completed", line.says), line
    elif line.awaits:
        await caller.pause(1500)
        assert len(caller.outlet.replies) == len(spoke), (line, caller.outlet.latest)


async def check_what_it_was_saying(caller: Caller, line: Line, reply: HeardReply, began_at: float) -> None:
    await caller.until(lambda: reply.status)
    assert reply.last_audio_at is not None
    if line.stops:
        assert reply.status == "cancelled", line
        assert reply.last_audio_at < began_at + 0.2, line
    else:
        assert (reply.status, reply.transcript) == ("completed", LIGHTHOUSE), line


def test_it_speaks_stays_silent_and_stops_where_it_should() -> None:
    async def main() -> None:
        brain = RuleBrain(decide)
        rules = Inspector(settings_of().turn)
        suite = replace(scripted_suite(), brain=brain)
        async with call(suite, settings_of(), recorder=rules, session_class=Room) as caller:
            spoke: list[HeardReply] = []
            for line in SCENE:
                began_at, ended_at = await perform(caller, line)
                if line.stops or line.goes_on:
                    await check_what_it_was_saying(caller, line, spoke[-1], began_at)
                await check(caller, line, ended_at, spoke)
            await caller.rest()
            expected = [line.says for line in SCENE if line.says is not None]
            assert len(caller.outlet.replies) == len(expected) == len(spoke)
            cut = [reply.status == "cancelled" for reply in spoke]
            assert sum(cut) == sum(line.stops for line in SCENE)
            for reply, says, was_cut in zip(spoke, expected, cut, strict=True):
                assert says.startswith(reply.transcript) if was_cut else says == reply.transcript
            assert not any("speak" in reply.transcript or "asks" in reply.transcript for reply in spoke)

    run_virtual(main())


def test_thirty_minutes_cost_as_much_a_word_at_the_end_as_at_the_beginning() -> None:
    """The context stays bounded, and what is read for each word that is heard does not grow."""

    async def main() -> None:
        brain = RuleBrain(decide)
        listening = ListeningSettings(wait_k=3, speak_tool=True, max_words=300)
        settings = replace(settings_of(), listening=listening)
        chance = random.Random(1)
        lines = [line for line in SCENE if line.over is None]
        costs: list[float] = []
        longest: list[int] = []
        rules = Inspector(settings.turn)
        suite = replace(scripted_suite(), brain=brain)
        async with call(suite, settings, recorder=rules, session_class=Room) as caller:
            await caller.pause(20)
            for part in range(1, 4):
                listener = caller.session.brain
                assert listener is not None
                read, heard = brain.read_tokens, listener.heard_words
                brain.longest_context = 0
                while caller.now < part * 600:
                    await perform(caller, chance.choice(lines))
                    await caller.pause(chance.choice([300, 1500, 4000]))
                costs.append((brain.read_tokens - read) / (listener.heard_words - heard))
                longest.append(brain.longest_context)
            await caller.rest()
            assert caller.session.brain is not None
            assert caller.session.brain.retracted_words == 0
            assert len(caller.outlet.replies) > 100
            assert not caller.outlet.live
        assert brain.running == 0
        assert rules.rules.closed
        assert max(longest) < 3 * 300
        assert max(costs) < 1.5 * min(costs)
        assert max(costs) < 20

    run_virtual(main())
