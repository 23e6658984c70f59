from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

import antiphon

assert antiphon.__version__, "imported before gRPC, which it keeps from minding forks"

# How long an example takes says how busy the machine is, and nothing of the code.
settings.register_profile("antiphon", deadline=None)
settings.load_profile("antiphon")

ALONE = [Path(__file__).parent / folder for folder in ("e2e", "browser")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real engines in real time need the machine to themselves: `make test` runs these one by one."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in ALONE):
            item.add_marker(pytest.mark.serial)
