"""The generated code is that of the contract, by the generator of this environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_generated_code_is_current(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generate_proto.py"), str(tmp_path)]
    subprocess.run(command, check=True, timeout=60)
    fresh = {path.name: path.read_text() for path in (tmp_path / "antiphon" / "v1").iterdir()}
    kept = {path.name: path.read_text() for path in (ROOT / "src" / "antiphon" / "v1").glob("*_pb2*")}
    assert kept == fresh
