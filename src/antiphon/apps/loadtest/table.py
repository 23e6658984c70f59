"""The load test's rows for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from antiphon.apps.loadtest.capacity import Row


def _number(value: float | None, digits: int = 0) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def print_rows(rows: Sequence[Row], console: Console) -> None:
    """A table, and below it why sessions were lost."""
    table = Table(title="Capacity of one server process", title_justify="left")
    for title in (
        "sessions",
        "turns",
        "CPU s a\nsess.-min",
        "CPU %\nof core",
        "RSS\nMB",
        "MB per\nsession",
        "jitter ms\np95/p99",
        "response ms\np50/p95/max",
        "callers\nlate ms",
        "lost",
    ):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            str(row.sessions),
            str(row.turns),
            _number(row.cpu_s_per_session_minute, 2),
            _number(row.cpu_percent),
            _number(row.rss_mb),
            _number(row.memory_mb_per_session, 2),
            f"{_number(row.jitter_p95_ms, 1)}/{_number(row.jitter_p99_ms, 1)}",
            "/".join(_number(value) for value in (row.response_p50_ms, row.response_p95_ms, row.response_max_ms)),
            _number(row.crowd_late_p99_ms, 1),
            str(row.lost),
        )
    console.print(table)
    for row in rows:
        for reason in row.lost_because:
            console.print(f"{row.sessions} sessions: lost: {reason}", style="red", highlight=False)
