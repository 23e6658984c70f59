"""Writes the table of docs/CONFIGURATION.md from the settings themselves: `make docs`."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from pathlib import Path

from antiphon.apps.config import Config
from antiphon.apps.config_session import Context, SessionDefaults, Speech, TurnDetection
from antiphon.apps.config_sources import settings_of
from antiphon.apps.config_streaming import KeyPath
from antiphon.core.barge_in import BargeInPolicy

PAGE = Path(__file__).parent.parent / "docs" / "CONFIGURATION.md"
BEGIN = "<!-- table: written by scripts/configuration_docs.py -->"
END = "<!-- end of table -->"

SECTIONS: dict[KeyPath, type] = {
    (): Config,
    ("session",): SessionDefaults,
    ("session", "turn_detection"): TurnDetection,
    ("session", "barge_in"): BargeInPolicy,
    ("session", "speech"): Speech,
    ("context",): Context,
}


FILE_ONLY: set[KeyPath] = {("agents",)}


def docstrings_of(section: type) -> dict[str, str]:
    """The docstring below each attribute of a class, on one line."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for attribute, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(attribute, ast.AnnAssign) and isinstance(attribute.target, ast.Name):
            match text:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    found[attribute.target.id] = " ".join(words.split())
    return found


def _shown(value: object) -> str:
    return "" if value is None or value in ([], "") else f"`{json.dumps(value)}`".replace('"', "")


def table() -> str:
    """A row for each key: where it is written, its default, what it does."""
    words = {path: docstrings_of(section) for path, section in SECTIONS.items()}
    rows = ["| key in `antiphon.yaml` | command line | default | |", "|---|---|---|---|"]
    for path, value in settings_of(Config()):
        option = f"`--{path[0].replace('_', '-')}`" if len(path) == 1 and path not in FILE_ONLY else ""
        rows.append(f"| `{'.'.join(path)}` | {option} | {_shown(value)} | {words[path[:-1]][path[-1]]} |")
    return "\n".join(rows)


def page_with(table_text: str, page: str) -> str:
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n\n{table_text}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page_with(table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
