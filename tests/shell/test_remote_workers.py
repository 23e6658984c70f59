"""Workers that run elsewhere, as the command line, the environment and the file name them."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.apps.config_sources import resolve
from antiphon.apps.remote_workers import registries_of
from antiphon.errors import ConfigError

NAMED = "tts=one:7000, tts=unix:///run/two.sock,llm=three:7000"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no file of the machine is read."""
    monkeypatch.chdir(tmp_path)


async def addresses(options: dict[str, object], environment: dict[str, str] | None = None) -> dict[str, set[str]]:
    found = registries_of(resolve(options, environment or {}).config)
    return {stage: {worker.address for worker in await anext(registry.watch())} for stage, registry in found.items()}


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        ({"workers": [NAMED]}, {}),
        ({"workers": NAMED.split(",")}, {}),
        ({}, {"ANTIPHON_WORKERS": NAMED}),
    ],
)
async def test_with_commas_between_or_one_by_one(options: dict[str, object], environment: dict[str, str]) -> None:
    expected = {"tts": {"one:7000", "unix:///run/two.sock"}, "llm": {"three:7000"}}
    assert await addresses(options, environment) == expected


async def test_one_without_a_stage_is_asked_for_all() -> None:
    both = await addresses({"workers": ["one:7000,asr=two:7000"]})
    assert both == {"asr": {"one:7000", "two:7000"}, "llm": {"one:7000"}, "tts": {"one:7000"}}


@pytest.mark.parametrize(
    ("worker", "reason"),
    [("tts=one", "'one' is no address"), ("stt=one:7000", "there is no stage 'stt'; there are asr, llm, tts")],
)
async def test_what_is_no_worker_is_told(worker: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await addresses({"workers": [f"llm=one:7000,{worker}"]})
