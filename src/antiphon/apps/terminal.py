"""Consoles that tables fit into."""

from __future__ import annotations

from rich.console import Console

TABLE_WIDTH = 110


def wide_console() -> Console:
    """Standard output; wide enough for a table where it is no terminal that has a width of its own."""
    console = Console()
    return console if console.is_terminal else Console(width=TABLE_WIDTH)
