from __future__ import annotations

import pytest

from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.catalog import make_brain
from antiphon.engines.own_models import make_own_model
from antiphon.errors import ConfigError


@pytest.mark.parametrize("engine", ["transformers", "mlx-lm"])
async def test_names(engine: str) -> None:
    for name, model in (
        (f"{engine}:/models/tiny", None),
        (f"{engine}:/models/tiny#temperature=0&context=512", None),
        (f"{engine}:/models/tiny", "temperature=0"),
        (engine, "/models/tiny"),
        (engine, "/models/tiny#temperature=0"),
    ):
        brain = await make_brain(name, model)
        assert isinstance(brain, CachedBrain)
        assert brain.name == f"{engine}:tiny"
        await brain.close()


@pytest.mark.parametrize("rest", ["", "#temperature=0"])
def test_a_model_must_be_named(rest: str) -> None:
    with pytest.raises(ConfigError, match="needs a model"):
        make_own_model("transformers", rest, "", "auto")


def test_what_is_not_possible_is_told_at_once() -> None:
    with pytest.raises(ConfigError, match="no option 'heat'"):
        make_own_model("mlx-lm", "tiny#heat=1", "", "auto")
    with pytest.raises(ConfigError, match="no device"):
        make_own_model("transformers", "tiny", "", "abacus")
