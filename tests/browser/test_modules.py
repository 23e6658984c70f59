"""The page's modules without a browser, in node."""

from __future__ import annotations

import subprocess
from pathlib import Path


def test_the_modules() -> None:
    script = Path(__file__).with_name("modules.test.mjs")
    command = ["node", "--test", "--test-reporter=tap", str(script)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout
    assert "# fail 0" in ran.stdout
    assert "# pass 0" not in ran.stdout
