"""Writes docs/FILES.md, every file of the program with the line that it begins with: `make docs`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "FILES.md"
PACKAGE = Path("src/antiphon")

_HEAD = """# Files

Every file of the program, with the line that it begins with. `make docs` writes this page.
[ARCHITECTURE.md](ARCHITECTURE.md) says how they work together, and where to begin.
"""
_SENTENCE = re.compile(r"(.+?)(?:(?<=[^.])\.(?=\s[A-Z`(])|\.?$)", re.DOTALL)
_GENERATED = ("v1",)
"""Made from proto/ by scripts/generate_proto.py."""


def _folders() -> Iterator[tuple[str, list[Path]]]:
    """Each folder by the name that it has in the page, with its files."""
    for base, suffix in ((PACKAGE, ".py"), (Path("web"), ".js")):
        folders: dict[Path, list[Path]] = {}
        for file in sorted((ROOT / base).rglob(f"*{suffix}")):
            if file.name != "__init__.py" and not set(file.parts) & set(_GENERATED):
                folders.setdefault(file.parent, []).append(file)
        for folder in sorted(folders):
            within = folder.relative_to(ROOT / base).as_posix()
            named = base.as_posix() if within == "." else within if base == PACKAGE else f"{base.as_posix()}/{within}"
            yield named, folders[folder]


def line_of(file: Path) -> str:
    """The first sentence of its docstring, or of the comment that it begins with. Raises ValueError without one."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        lines = re.match(r"(?://.*\n)*", text)
        said = re.sub(r"^// ?", "", lines.group() if lines else "", flags=re.MULTILINE)
    found = _SENTENCE.match(" ".join(said.partition("\n\n")[0].split()))
    if found is None:
        raise ValueError(f"{file.relative_to(ROOT)} does not say what it is in its first line")
    return re.sub(r"``([^`]*)``", r"`\1`", found.group(1)).replace("|", r"\|")


def page() -> str:
    """The whole page."""
    parts = [_HEAD]
    for folder, files in _folders():
        rows = "\n".join(f"| `{file.name}` | {line_of(file)} |" for file in files)
        parts.append(f"## `{folder}/`\n\n| | |\n|---|---|\n{rows}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
