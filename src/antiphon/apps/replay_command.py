"""``antiphon replay``: says what came of running a recorded session again."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from antiphon.errors import ConfigError
from antiphon.sim.replay import Difference, Report, Step, replay


def run(recording: Path) -> int:
    """Prints the report and returns the exit code: 0 when every action was the same and no rule was broken."""
    try:
        report = replay(recording)
    except OSError as error:
        raise ConfigError(f"{recording} cannot be read: {error.strerror}") from error
    console = Console(highlight=False)
    console.print(
        f"{report.events} events, {report.actions} actions, {report.commands} commands and {report.audio_s:.1f} s of "
        f"audio in a session of {report.duration_s:.1f} s"
    )
    if not report.complete and report.difference is None:
        console.print("[yellow]The recording has no end: it was broken off.[/]")
    if report.difference is not None:
        _print_difference(console, report.difference)
    if report.broken_rule is not None:
        console.print(f"[red]A rule was broken:[/] {escape(report.broken_rule)}")
    passed = _passed(report)
    if passed:
        console.print("[green]Every action is the same.[/]")
    return 0 if passed else 1


def _passed(report: Report) -> bool:
    return report.identical and report.broken_rule is None


def _print_difference(console: Console, difference: Difference) -> None:
    console.print(f"[red]The replay parts from the recording at line {difference.recorded.line}.[/]")
    for step in difference.before:
        _print_step(console, step)
    _print_step(console, difference.recorded)
    console.print("    [red]but now:[/]")
    for action in difference.replayed or ("nothing",):
        console.print(f"      {escape(action)}")


def _print_step(console: Console, step: Step) -> None:
    console.print(f"  {step.at:9.3f} s  {escape(step.event)}")
    for action in step.actions:
        console.print(f"               -> {escape(action)}")
