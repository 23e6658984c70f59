"""Language models that run in a process of ours, by their names: ``transformers:MODEL#KEY=VALUE&KEY=VALUE``."""

from __future__ import annotations

from antiphon.engines.base import Brain
from antiphon.engines.model_options import ModelOptions
from antiphon.errors import ConfigError

OWN_MODELS = ("transformers", "mlx-lm", "gguf")


def make_own_model(engine: str, rest: str, model: str, device: str) -> Brain:
    """``rest`` is what its name has after the colon; ``model`` may stand for either part of it that is missing there.

    Raises ConfigError.
    """
    named, _, options = rest.partition("#")
    if model and not named:
        named, _, model = model.partition("#")
    if not named:
        raise ConfigError(f"{engine} needs a model: --llm {engine}:MODEL, the name of one that was pulled or its path")
    chosen = ModelOptions.parse(options or model)
    if engine == "gguf":
        from antiphon.engines.llama_brain import LlamaBrain

        return LlamaBrain(named, chosen)
    from antiphon.engines.cached_brain import CachedBrain

    if engine == "mlx-lm":
        from antiphon.engines.mlx_lm_brain import MlxLmLibrary

        return CachedBrain(MlxLmLibrary(), named, chosen)
    from antiphon.engines.transformers_brain import TransformersLibrary

    return CachedBrain(TransformersLibrary(device), named, chosen)
