"""The pages of the documentation against what there is: links, files, settings of commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from scripts import file_docs
from typer.main import get_command

from antiphon.apps.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", "changelog.d/*.md")
    for page in ROOT.glob(pattern)
    if page != file_docs.PAGE
)
BASES = (ROOT, ROOT / "src/antiphon", ROOT / "docs")
THEIRS = ("third_party/",)
"""Paths of other people's repositories."""

_LINK = re.compile(r"\]\(([^)#\s]+)(#[^)\s]*)?\)|src=\"([^\"]+)\"")
_CODE = re.compile(r"`([^`\n]+)`")
_FILE = re.compile(r"[\w*.-]+(/[\w*.-]+)+\.(py|js|md|yaml|toml|proto|svg)")
_OPTION = re.compile(r"--[a-z]")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_list_of_files_is_up_to_date() -> None:
    """`make docs` brings it up to date."""
    assert file_docs.PAGE.read_text(encoding="utf-8") == file_docs.page()


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    for there, heading, picture in _LINK.findall(page.read_text(encoding="utf-8")):
        target = there or picture
        if "://" in target:
            continue
        file = page.parent / target
        assert file.exists(), f"{ids(page)} links to {target}"
        if heading:
            assert heading[1:] in headings(file), f"{ids(page)} links to {target}{heading}"


def headings(page: Path) -> set[str]:
    """As GitHub names them in addresses."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_that_are_named_are_there(page: Path) -> None:
    for code in _CODE.findall(page.read_text(encoding="utf-8")):
        if _FILE.fullmatch(code) and "NAME" not in code and not code.startswith(THEIRS):
            assert any(list(base.glob(code)) for base in (*BASES, page.parent)), f"{ids(page)} names {code}"


def test_every_file_that_the_code_map_begins_with_is_there() -> None:
    text = (ROOT / "docs/ARCHITECTURE.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[a-z/]+/`[^|]*) \|[^|]*\| ([^|]*) \|$", text, re.MULTILINE)
    assert len(rows) > 10
    for folders, files in rows:
        for file in re.findall(r"`([a-z_]+\.py)`", files):
            assert any((BASES[1] / folder / file).is_file() for folder in re.findall(r"`([a-z/]+)`", folders)), file


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_options_that_are_shown_exist(page: Path) -> None:
    """Of each command of ours in a block of commands."""
    for block in _FENCED.findall(page.read_text(encoding="utf-8")):
        for line in re.findall(r"^(?:\S*/)?antiphon ([a-z].*)$", block, re.MULTILINE):
            words = line.split("#")[0].split()
            command = get_command(app)
            path: list[str] = []
            while words and words[0] in getattr(command, "commands", {}):
                path.append(words.pop(0))
                command = command.commands[path[-1]]  # type: ignore[attr-defined]
            assert path, f"{ids(page)}: antiphon {line}"
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            given = {word.partition("=")[0] for word in words if _OPTION.match(word)}
            assert given <= known, f"{ids(page)}: antiphon {line}: there is no {', '.join(given - known)}"
