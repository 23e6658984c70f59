"""The language models that a configuration names."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.shell.test_openai_chat import ChatServer

from antiphon.apps.config import Config
from antiphon.apps.config_sources import resolve
from antiphon.apps.language_models import brains_of
from antiphon.engines.openai_chat import OpenAIChat
from antiphon.errors import ConfigError


@pytest.fixture
async def chat() -> AsyncIterator[ChatServer]:
    server = ChatServer()
    runner = await server.start()
    yield server
    await runner.cleanup()


def test_several_are_given_in_each_way(tmp_path: Path) -> None:
    file = tmp_path / "antiphon.yaml"
    file.write_text("llm:\n  - alice\n  - openai:small\n")
    expected = "alice,openai:small"
    assert resolve({}, {}, file).config.llm == expected
    assert resolve({}, {"ANTIPHON_LLM": expected}).config.llm == expected
    assert resolve({"llm": ["alice", "openai:small"]}, {}).config.llm == expected


async def test_each_is_made_and_the_model_belongs_to_the_first(chat: ChatServer) -> None:
    brains = await brains_of(Config(llm=f"{chat.url},{chat.url}#large,alice", model="small"))
    assert list(brains) == [f"{chat.url}#small", f"{chat.url}#large", "alice"]
    assert [brain.name for brain in brains.values()] == ["openai:small", "openai:large", "alice"]


async def test_the_one_that_a_server_lists_first_is_named(chat: ChatServer) -> None:
    [(given, brain)] = (await brains_of(Config(llm=chat.url))).items()
    assert given == chat.url
    assert isinstance(brain, OpenAIChat)
    assert brain.model == "small"


@pytest.mark.parametrize(("llm", "reason"), [("", "name a language model"), ("alice,alise", "'alise'")])
async def test_what_there_is_not_is_told(llm: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await brains_of(Config(llm=llm))
