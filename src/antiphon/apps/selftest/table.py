"""The self-test's report for people."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from antiphon.apps.selftest.report import BARGE_IN, STAGES, Report

_COLUMNS = tuple((key, title.replace(" ", "\n", 1)) for key, title in STAGES)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def latency_table(report: Report) -> Table:
    """Per turn, and over all turns."""
    table = Table(
        title="Times in ms, from the true end of the user's speech",
        caption="0: done ahead, in the silence that ends the turn. In brackets: from the written message.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("turn", overflow="fold", max_width=44)
    for _, title in _COLUMNS:
        table.add_column(title, justify="right")
    for turn in report.turns:
        cells = [_ms(turn.figures.get(key)) for key, _ in _COLUMNS]
        if "from_writing_ms" in turn.figures:
            cells[-1] = f"({_ms(turn.figures['from_writing_ms'])})"
        table.add_row(turn.name, *cells)
    summary = report.summary()
    table.add_section()
    for line in ("p50", "p95", "max"):
        table.add_row(
            f"[bold]{line}[/bold]", *(_ms(summary[key][line] if key in summary else None) for key, _ in _COLUMNS)
        )
    return table


def barge_in_table(report: Report) -> Table:
    table = Table(title="Barge-in", title_justify="left")
    for _, title in BARGE_IN:
        table.add_column(title, justify="right")
    table.add_row(*(f"{report.barge_in[key]:.0f} ms" if key in report.barge_in else "" for key, _ in BARGE_IN))
    return table


def print_summary(report: Report, console: Console) -> None:
    """The engines, the tables and the verdict."""
    for stage, engine in report.engines.items():
        console.print(f"{stage:>12}  {engine}", highlight=False, markup=False, style="dim")
    if report.processes:
        shown = ", ".join(f"{name} {pid}" for name, pid in report.processes.items())
        console.print(f"{'processes':>12}  {shown}", highlight=False, markup=False, style="dim")
    console.print(latency_table(report))
    if report.barge_in:
        console.print(barge_in_table(report))
    failed = len(report.failures())
    verdict = "[bold green]passed[/bold green]" if report.passed else f"[bold red]{failed} failed[/bold red]"
    console.print(f"{len(report.checks)} checks in {report.total_s:.0f} s: {verdict}", highlight=False)


def print_report(report: Report, console: Console) -> None:
    """Each check, then the summary."""
    for check in report.checks:
        mark = "[green]ok[/green]  " if check.passed else "[bold red]FAIL[/bold red]"
        console.print(f"{mark} {escape(check.name)}: {escape(check.detail)}", highlight=False)
    print_summary(report, console)
