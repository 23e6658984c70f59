"""Clients that send any command at any time, while people talk, engines are slow and fail, and calls drop.

Each session is seeded, half a virtual minute long, and checked on every step by ``RecordingOutlet`` and ``TurnRules``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from antiphon.core import commands as ask
from antiphon.core.actions import Action
from antiphon.core.conversation import Item
from antiphon.core.events import Event
from antiphon.core.settings import Detection, ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import Message
from antiphon.engines.scripted import ScriptedBrain, ScriptedSynthesizer
from antiphon.engines.suite import Suite
from antiphon.ids import ItemId, ReplyId
from antiphon.session.meter import NoRecorder
from antiphon.session.reply_context import NOT_UNDERSTOOD
from antiphon.sim.caller import Caller, call, noise, scripted_suite
from antiphon.sim.turn_rules import TurnRules
from antiphon.sim.virtual_time import run_virtual

LENGTH_S = 30.0


class Inspector(NoRecorder):
    def __init__(self, settings: TurnSettings) -> None:
        self.rules = TurnRules(settings)

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        self.rules.before(event, now)
        self.rules.follow(event, list(actions))


def some_settings(chance: random.Random, *, paced: bool) -> SessionSettings:
    turn = TurnSettings(
        detection=chance.choice([Detection.SERVER, Detection.SERVER, Detection.SEMANTIC, Detection.MANUAL]),
        silence_duration_ms=chance.choice([0, 200, 700]),
        idle_timeout_ms=chance.choice([None, 1500]),
        create_response=chance.random() < 0.8,
        interrupt_response=chance.random() < 0.8,
        prepare_after_ms=chance.choice([0, 100, 300]),
        paced=paced,
    )
    reply = ReplySettings(audio=chance.random() < 0.8, max_output_tokens=chance.choice([None, None, 5]))
    return SessionSettings(turn, reply, transcription=chance.random() < 0.7)


def some_engines(chance: random.Random) -> Suite:
    return scripted_suite(
        asr=f"final_ms={chance.choice([0, 50, 400])},fail_rate=0.1,seed={chance.randint(0, 99)}",
        llm=f"first_token_ms={chance.choice([0, 50, 800])},tokens=20,fail_rate=0.1,fail_after={chance.choice([0, 7])}",
        tts=f"first_audio_ms={chance.choice([0, 40, 300])},speed={chance.choice([2, 50])},fail_rate=0.05",
    )


class AnyClient:
    def __init__(self, caller: Caller, chance: random.Random, *, paced: bool) -> None:
        self.caller = caller
        self.chance = chance
        self.paced = paced

    def some_item(self) -> ItemId:
        known = [item.id for item in self.caller.session.conversation]
        return self.chance.choice([*known[-4:], ItemId("nobody")])

    def some_reply(self) -> ReplyId | None:
        return self.chance.choice([None, ReplyId("nobody"), *self.caller.outlet.replies])

    def new_item(self) -> Item:
        kind = self.chance.choice(["text", "call", "sound"])
        item = Item(self.caller.session.ids.item(), "message", "user", text=kind)
        if kind == "call":
            item.text = 'call weather {"day": 1}'
        elif kind == "sound":
            item.audio, item.pcm = True, noise(300)
        return item

    def command(self) -> ask.Command:
        ids, chance = self.caller.session.ids, self.chance
        settings = some_settings(chance, paced=self.paced)
        context = chance.choice([None, None, (), (Message("user", "count to 4"),)])
        some: list[ask.Command] = [
            ask.Configure(settings),
            ask.CommitBuffer("e"),
            ask.ClearBuffer("e"),
            ask.CreateItem(self.new_item(), chance.choice([None, self.some_item()]), "e"),
            ask.DeleteItem(self.some_item(), "e"),
            ask.RetrieveItem(self.some_item(), "e"),
            ask.TruncateItem(self.some_item(), 0, chance.randint(0, 5000), "e"),
            ask.CreateReply(ids.reply(), settings.reply, side=False, messages=context, client_event_id="e"),
            ask.CreateReply(ids.reply(), settings.reply, side=True, messages=context, client_event_id="e"),
            ask.CancelResponse(self.some_reply(), "e"),
        ]
        return chance.choice(some)

    async def act(self) -> None:
        caller, chance = self.caller, self.chance
        match chance.choice(["speak", "speak", "speak", "cough", "burst", "command", "command", "command"]):
            case "speak":
                await caller.say(chance.choice(["yeah", "no wait", "tell me a story", "and", "call weather {}"]))
            case "cough":
                await caller.cough(chance.randint(20, 600))
            case "burst":
                for _ in range(chance.randint(1, 4)):
                    caller.session.hear(noise(chance.randint(10, 900)) + bytes(chance.randint(0, 20_000) * 2))
            case "command":
                caller.session.post(self.command())
        await caller.pause(chance.choice([0, 0, 20, 150, 250, 600, 2500]))


def told_to_fail(stage: str) -> str:
    return f"the scripted {stage} fails here, as it was told to"


ERRORS = {None, told_to_fail("brain"), told_to_fail("synthesizer"), NOT_UNDERSTOOD}
"""With which a reply may end; None is without."""


async def talk(seed: int, *, paced: bool) -> None:
    chance = random.Random(seed)
    suite = some_engines(chance)
    settings = replace(some_settings(chance, paced=paced), transcription=True)
    inspector = Inspector(settings.turn)
    async with call(suite, settings, recorder=inspector, seed=seed) as caller:
        client = AnyClient(caller, chance, paced=paced)
        while caller.now < LENGTH_S:
            await client.act()
    outlet = caller.outlet
    assert inspector.rules.closed
    assert not outlet.live
    assert {reply.status for reply in outlet} <= {"completed", "cancelled", "incomplete", "failed"}
    assert {reply.error for reply in outlet} <= ERRORS
    assert isinstance(suite.brain, ScriptedBrain)
    assert isinstance(suite.synthesizer, ScriptedSynthesizer)
    assert (suite.brain.running, suite.synthesizer.running) == (0, 0)
    current = asyncio.current_task()
    assert {current} == asyncio.all_tasks()


@pytest.mark.parametrize("paced", [True, False])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_a_client_does_everything_ends_once(seed: int, paced: bool) -> None:
    run_virtual(talk(seed, paced=paced))
