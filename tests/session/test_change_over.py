from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from antiphon.core.settings import ReplySettings
from antiphon.core.speech import Voice
from antiphon.engines.scripted import ScriptedSynthesizer
from antiphon.errors import EngineError
from antiphon.session.change_over import ChangeOver
from antiphon.sim.caller import scripted_suite
from antiphon.sim.virtual_time import run_virtual

FIRST = ReplySettings(voice="first")
SECOND, THIRD = replace(FIRST, voice="second"), replace(FIRST, voice="third")


class Voices(ScriptedSynthesizer):
    """A voice takes a second to load; some cannot be."""

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []

    async def prepare(self, voice: Voice) -> None:
        self.begun.append(voice.name)
        await asyncio.sleep(1.0)
        if voice.name == "broken":
            raise EngineError("there is no such file")
        if voice.name == "wrong":
            raise RuntimeError("a defect")


@dataclass
class Changes:
    voices: Voices
    spoken_in: list[Voice]
    subject: ChangeOver


def changes() -> Changes:
    voices, spoken_in = Voices(), list[Voice]()
    return Changes(voices, spoken_in, ChangeOver(replace(scripted_suite(), synthesizer=voices), spoken_in.append))


def test_a_voice_speaks_when_it_is_ready_and_one_that_is_the_same_is_not_loaded() -> None:
    async def main() -> None:
        made = changes()
        async with asyncio.TaskGroup() as group:
            made.subject.begin(FIRST, replace(FIRST, instructions="Be brief."), group)
            made.subject.begin(FIRST, replace(SECOND, speed=1.2), group)
        assert made.voices.begun == ["second"]
        assert made.spoken_in == [Voice("second", 1.2)]

    run_virtual(main())


def test_a_newer_change_takes_the_place_of_one_that_is_under_way() -> None:
    async def main() -> None:
        made = changes()
        async with asyncio.TaskGroup() as group:
            made.subject.begin(FIRST, SECOND, group)
            await asyncio.sleep(0.5)
            made.subject.begin(SECOND, THIRD, group)
        assert made.voices.begun == ["second", "third"]
        assert made.spoken_in == [Voice("third")]

    run_virtual(main())


def test_a_voice_that_cannot_be_had_leaves_all_as_it_is() -> None:
    async def main() -> None:
        made = changes()
        for name in ("broken", "wrong"):
            async with asyncio.TaskGroup() as group:
                made.subject.begin(FIRST, replace(FIRST, voice=name), group)
        assert made.voices.begun == ["broken", "wrong"]
        assert made.spoken_in == []

    run_virtual(main())


def test_at_the_end_nothing_is_loaded_any_more() -> None:
    async def main() -> None:
        made = changes()
        async with asyncio.TaskGroup() as group:
            made.subject.begin(FIRST, SECOND, group)
            await asyncio.sleep(0.5)
            made.subject.close()
        assert made.spoken_in == []

    run_virtual(main())
