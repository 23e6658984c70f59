"""Thirty virtual minutes of talk: questions, pauses, interruptions, coughs, nods, typing, failures. Seeded.

All the way, ``RecordingOutlet`` checks what the client is told and ``TurnRules`` every event and action; at the end
everything that was begun must have ended, and the context must hold what was played.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from antiphon.core.actions import Action, State
from antiphon.core.events import Event
from antiphon.core.settings import Answers, ListeningSettings, SessionSettings, TurnSettings
from antiphon.core.spoken import HEARD_TOLERANCE_MS
from antiphon.engines.scripted import ScriptedBrain, ScriptedSynthesizer
from antiphon.engines.tone_code import SYMBOL_MS
from antiphon.session.meter import NoRecorder
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.turn_rules import TurnRules
from antiphon.sim.virtual_time import run_virtual

LENGTH_S = 30 * 60


class Inspector(NoRecorder):
    """Sees every event and what came of it, as a recorder does, and follows the rules.

    The table's own state is not its to see: that is the property tests' business.
    """

    def __init__(self, settings: TurnSettings) -> None:
        self.rules = TurnRules(settings)
        self.steps = 0
        self.kinds: set[str] = set()

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        self.steps += 1
        self.kinds.update(type(action).__name__ for action in actions)
        self.rules.before(event, now)
        self.rules.follow(event, list(actions))


def stripped(text: str) -> list[str]:
    return text.replace(",", "").replace(".", "").split()


async def misbehave(caller: Caller, chance: random.Random) -> None:
    """One thing that a person on the phone does."""
    match chance.choice(["ask", "ask", "interrupt", "interrupt", "nod", "cough", "think", "type", "cancel", "mumble"]):
        case "ask":
            await caller.say(f"count to {chance.choice([3, 12, 30])}")
            await caller.pause(chance.choice([500, 3000]))
        case "interrupt":
            await caller.say("tell me something long")
            await caller.pause(chance.randint(300, 9000))
            await caller.say(chance.choice(["no stop that", "wait a moment please", "repeat"]))
        case "nod":
            await caller.say("yeah")
        case "cough":
            await caller.cough(chance.randint(40, 500))
        case "think":
            await caller.say("what i want to")
            await caller.say("know is this", after_ms=chance.randint(120, 900))
        case "type":
            await caller.type("count to 5")
        case "cancel":
            caller.cancel()
        case "mumble":
            await caller.say("um", after_ms=chance.randint(0, 400))
    await caller.pause(chance.randint(0, 2500))


def agrees(kept: str, audible: str) -> bool:
    """The word in the context is the word in the audio, which may lack what nobody misses at the end of a word."""
    return kept.startswith(audible) and (len(kept) - len(audible)) * SYMBOL_MS <= HEARD_TOLERANCE_MS


def check_what_was_heard(caller: Caller, *, paced: bool) -> int:
    """Each spoken item holds a beginning of what its reply's audio says. Returns how many were compared."""
    compared = 0
    items = {item.id: item for item in caller.session.conversation if item.role == "assistant"}
    for reply in caller.outlet:
        for item in (items[each] for each in reply.items if each in items):
            kept, audible = stripped(item.heard()), [word.strip(",.") for word in reply.spoken_words()]
            if kept:
                assert kept[:-1] == audible[: len(kept) - 1]
                assert agrees(kept[-1], audible[len(kept) - 1])
            if paced:
                # What was sent was played: all of it is kept, but for a word that was cut in its midst.
                assert len(audible) - len(kept) <= 1, (reply, kept, audible)
            compared += 1
    return compared


async def converse(*, paced: bool, seed: int, answers: Answers, length_s: float = LENGTH_S) -> None:
    chance = random.Random(seed)
    turn = TurnSettings(paced=paced, silence_duration_ms=chance.choice([200, 500]), answers=answers)
    settings = SessionSettings(turn, listening=ListeningSettings(wait_k=2), transcription=True)
    inspector = Inspector(settings.turn)
    suite = scripted_suite(asr="final_ms=40,fail_rate=0.02", llm="fail_rate=0.03", tts="fail_rate=0.01")
    async with call(suite, settings, recorder=inspector, seed=seed) as caller:
        while caller.now < length_s:
            await misbehave(caller, chance)
        await caller.rest()
        await caller.pause(1000)
        assert check_what_was_heard(caller, paced=paced) > 50
        assert not caller.outlet.live
        begun = len(asyncio.all_tasks())
    assert begun == 3  # this test, the session and the microphone: no turn leaves anything behind

    brain, synthesizer = suite.brain, suite.synthesizer
    assert isinstance(brain, ScriptedBrain)
    assert isinstance(synthesizer, ScriptedSynthesizer)
    assert (brain.running, synthesizer.running) == (0, 0)
    assert inspector.rules.closed
    assert caller.outlet.current_state is State.IDLE
    assert len(caller.outlet.transcripts) == len(caller.outlet.named("committed"))
    assert {reply.status for reply in caller.outlet} >= {"completed", "failed"}
    assert inspector.steps > 2000
    if paced:
        assert check_pauses(caller) > 30
        assert inspector.kinds >= {"PausePlayout", "ResumePlayout", "CancelReply", "PrepareReply", "DiscardReply"}


def check_pauses(caller: Caller) -> int:
    """From the moment at which the user's sound is noticed to the moment of the decision no frame leaves.

    Returns how many such moments there were.
    """
    sent_at: float | None = None
    state, pauses = State.IDLE, 0
    for each in caller.outlet.calls:
        if each.name == "state":
            assert sent_at in (None, each.at)  # a reply that is resumed goes on in the same moment
            sent_at = None
            (state,) = each.args
            pauses += state is State.BARGED_IN
        elif each.name == "reply_audio" and state is State.BARGED_IN:
            sent_at = sent_at or each.at
    return pauses


@pytest.mark.parametrize(
    ("paced", "seed", "answers"),
    [
        (True, 1, Answers.TURN),
        (True, 2, Answers.TURN),
        (False, 1, Answers.TURN),
        (True, 3, Answers.LISTENING),
    ],
)
def test_thirty_minutes_of_conversation(paced: bool, seed: int, answers: Answers) -> None:
    run_virtual(converse(paced=paced, seed=seed, answers=answers))


def test_ten_minutes_in_bursts_with_a_brain_that_listens() -> None:
    run_virtual(converse(paced=False, seed=2, answers=Answers.LISTENING, length_s=600))
