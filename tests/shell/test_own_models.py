from __future__ import annotations

import sys

import pytest

from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.catalog import make_brain
from antiphon.engines.mlx_models import find_folder
from antiphon.engines.own_models import make_own_model
from antiphon.errors import ConfigError, EngineError


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


async def test_a_missing_library_is_told_when_the_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in ("tokenizers", "tokenizers.decoders", "transformers", "torch"):
        monkeypatch.setitem(sys.modules, library, None)
    for module in [name for name in sys.modules if name.startswith("antiphon.engines.")]:
        if module.rpartition(".")[2] in ("cached_answer", "cached_brain", "transformers_brain", "transformers_model"):
            monkeypatch.delitem(sys.modules, module)
    brain = await make_brain("transformers:/models/tiny", None)
    with pytest.raises(EngineError, match=r"pip install 'antiphon\[transformers\]'"):
        await brain.load()
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


@pytest.mark.parametrize("engine", ["transformers", "mlx-lm"])
def test_a_model_that_cannot_be_pulled_is_not_said_to_be(engine: str) -> None:
    with pytest.raises(EngineError, match=rf"^{engine}:none is not on this machine: give the path of its folder"):
        find_folder(engine, "none")
