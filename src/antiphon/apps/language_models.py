"""The language models that a configuration names."""

from __future__ import annotations

from antiphon.apps.config import Config
from antiphon.apps.names import names_in
from antiphon.engines import catalog
from antiphon.engines.base import Brain
from antiphon.engines.local_llm import first_model
from antiphon.engines.openai_chat import OpenAIChat
from antiphon.errors import ConfigError


async def brains_of(config: Config, own_port: int | None = None) -> dict[str, Brain]:
    """Each by the name that a worker is told, the default first; not loaded. Raises ConfigError.

    ``own_port`` is where we listen ourselves: that is no language model.
    """
    ports = () if own_port is None else (own_port,)
    names = names_in([config.llm])
    if not names:
        raise ConfigError("llm: name a language model, or 'auto'")
    found: dict[str, Brain] = {}
    for name in names:
        model = config.model if name == names[0] else None
        brain = await catalog.make_brain(name, model, exclude_ports=ports)
        given = _given(name, model, brain)
        if isinstance(brain, OpenAIChat) and brain.model is None and (first := await first_model(brain.base_url)):
            brain = await catalog.make_brain(name, first)  # people are told the one that will answer
        found[given] = brain
    return found


def _given(name: str, model: str | None, brain: Brain) -> str:
    """What "auto" has found, and the model with the server."""
    if name == "auto":
        return f"{brain.base_url}#{brain.model}" if isinstance(brain, OpenAIChat) else brain.name
    return f"{name.partition('#')[0]}#{model}" if model else name
