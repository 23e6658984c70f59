"""The rules bite: delete any one of the actions that stop, hold or resume a reply, and some conversation breaks one."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.core.turns_machine import TurnsMachine

from antiphon.core import turns
from antiphon.sim.turn_rules import RuleBrokenError

DELETED = (
    "CancelReply",
    "PausePlayout",
    "ResumePlayout",
    "DiscardReply",
    "DropTurn",
    "CommitTurn",
    "TellSpeechStopped",
)
ENOUGH = settings(
    max_examples=1500,
    stateful_step_count=30,
    deadline=None,
    database=None,
    print_blob=False,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def _source_tree() -> ast.Module:
    assert turns.__file__ is not None
    return ast.parse(Path(turns.__file__).read_text(encoding="utf-8"))


def _is_emission(node: ast.AST) -> str | None:
    """The action's name if the node is a statement ``self._emit(do.ACTION(...))``."""
    match node:
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(attr="_emit"), args=[ast.Call(func=ast.Attribute(attr=action))])
        ):
            return action
    return None


def _sites() -> list[tuple[str, str, int]]:
    """Each place in which one of the actions leaves: the action, the method that it leaves from, the line."""
    methods = [node for node in ast.walk(_source_tree()) if isinstance(node, ast.FunctionDef)]
    statements = [(method.name, node) for method in methods for node in ast.walk(method) if isinstance(node, ast.stmt)]
    found = [(_is_emission(node), method, node.lineno) for method, node in statements]
    return sorted((action, method, line) for action, method, line in found if action in DELETED and action)


class _Delete(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self.line = line

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return ast.copy_location(ast.Pass(), node) if node.lineno == self.line and _is_emission(node) else node


def _mutant(line: int) -> Any:
    """The class ``Turns`` of a copy of the module without the statement at ``line``."""
    module = ModuleType("antiphon.core.turns_mutant")
    sys.modules[module.__name__] = module
    try:
        tree = ast.fix_missing_locations(_Delete(line).visit(_source_tree()))
        exec(compile(tree, f"turns without line {line}", "exec"), module.__dict__)
    finally:
        del sys.modules[module.__name__]
    return module.__dict__["Turns"]


def test_every_place_that_builds_such_an_action_is_found() -> None:
    """None is built anywhere else than in a statement that this test can delete."""
    built = [
        node.func.attr
        for node in ast.walk(_source_tree())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DELETED
    ]
    assert sorted(built) == [action for action, _, _ in _sites()]
    assert built.count("CancelReply") >= 4


@pytest.mark.parametrize("line", [pytest.param(line, id=f"{action}-in-{method}") for action, method, line in _sites()])
def test_deleting_one_action_breaks_a_rule(line: int) -> None:
    mutant = type("Mutant", (TurnsMachine,), {"turns_class": _mutant(line)})
    with pytest.raises((RuleBrokenError, AssertionError)):
        run_state_machine_as_test(seed(1)(mutant), settings=ENOUGH)
