"""What recognizers and brains of a fleet have in common: what they go by, and whose the fleet is."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shell.fleet_client import staged

from antiphon.voices.brain import FleetBrain
from antiphon.voices.fleet import Fleet
from antiphon.voices.recognizer import FleetRecognizer
from antiphon.voices.registry import StaticRegistry

MAKES = pytest.mark.parametrize(("stage", "make"), [("asr", FleetRecognizer), ("llm", FleetBrain)])


@MAKES
async def test_it_goes_by_the_first_model_or_else_the_first_worker_s(
    tmp_path: Path, stage: str, make: type[FleetRecognizer | FleetBrain]
) -> None:
    nobody = Fleet(stage, StaticRegistry(()))
    assert (make(nobody).name, make(nobody).place) == (f"fleet:{stage}", None)
    assert make(nobody, ("good", "quick")).description == "good on 0 workers"
    async with staged(tmp_path, stage, "scripted:") as running:
        engine = make(running.fleet)
        assert engine.description == "scripted: on 1 worker"
        assert engine.place == engine.of_session("the session").place == running.fleet.connections[0].address


@MAKES
async def test_one_conversation_s_neither_loads_nor_closes_the_fleet(
    tmp_path: Path, stage: str, make: type[FleetRecognizer | FleetBrain]
) -> None:
    async with staged(tmp_path, stage, "scripted:") as running:
        engine = make(running.fleet)
        session = engine.of_session("the session")
        await session.load()
        await session.close()
        assert len(running.fleet.connections) == 1
        await engine.close()
        assert not running.fleet.connections
