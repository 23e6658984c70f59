from __future__ import annotations

from pathlib import Path

import pytest

E2E = Path(__file__).parent / "e2e"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real engines in real time need the machine to themselves: `make test` runs these one by one."""
    for item in items:
        if item.path.is_relative_to(E2E):
            item.add_marker(pytest.mark.serial)
