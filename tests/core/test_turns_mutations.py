"""The rules bite: delete any one of the actions that stop, hold or resume a reply, and some conversation breaks one."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.core.turns_machine import TurnsMachine

from antiphon.core import due, floor, turns
from antiphon.sim.followed_turns import RuleBrokenError

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


MODULES = (floor, due, turns)
"""All that decides, each after those that it imports."""


def _source_tree(module: ModuleType) -> ast.Module:
    assert module.__file__ is not None
    return ast.parse(Path(module.__file__).read_text(encoding="utf-8"))


def _is_emission(node: ast.AST) -> str | None:
    """The action's name if the node is a statement ``FLOOR.emit(do.ACTION(...))``."""
    match node:
        case ast.Expr(
            value=ast.Call(func=ast.Attribute(attr="emit"), args=[ast.Call(func=ast.Attribute(attr=action))])
        ):
            return action
    return None


def _sites() -> list[tuple[str, str, ModuleType, int]]:
    """Each place in which one of the actions leaves: the action, the function that it leaves from, module and line."""
    functions = [
        (module, node)
        for module in MODULES
        for node in ast.walk(_source_tree(module))
        if isinstance(node, ast.FunctionDef)
    ]
    found = [
        (action, function.name.removeprefix("_"), module, node.lineno)
        for module, function in functions
        for node in ast.walk(function)
        if (action := _is_emission(node)) in DELETED and action and isinstance(node, ast.Expr)
    ]
    return sorted(found, key=lambda site: (site[0], site[1], site[3]))


class _Delete(ast.NodeTransformer):
    def __init__(self, line: int) -> None:
        self.line = line

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return ast.copy_location(ast.Pass(), node) if node.lineno == self.line and _is_emission(node) else node


def _mutant(mutated: ModuleType, line: int) -> Any:
    """The class ``Turns`` of a copy of the modules without the statement at ``line`` of one of them."""
    copies = {module.__name__: ModuleType(module.__name__) for module in MODULES}
    with patch.dict(sys.modules, copies):
        for module in MODULES:
            tree = _source_tree(module)
            if module is mutated:
                tree = ast.fix_missing_locations(_Delete(line).visit(tree))
            exec(compile(tree, f"{module.__name__} without line {line}", "exec"), copies[module.__name__].__dict__)
    return copies[turns.__name__].__dict__["Turns"]


def test_every_place_that_builds_such_an_action_is_found() -> None:
    """None is built anywhere else than in a statement that this test can delete."""
    built = [
        node.func.attr
        for module in MODULES
        for node in ast.walk(_source_tree(module))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in DELETED
    ]
    assert sorted(built) == [action for action, *_ in _sites()]
    assert built.count("CancelReply") >= 4


SITES = [pytest.param(module, line, id=f"{action}-in-{name}") for action, name, module, line in _sites()]


@pytest.mark.parametrize(("module", "line"), SITES)
def test_deleting_one_action_breaks_a_rule(module: ModuleType, line: int) -> None:
    mutant = type("Mutant", (TurnsMachine,), {"turns_class": _mutant(module, line)})
    with pytest.raises((RuleBrokenError, AssertionError)):
        run_state_machine_as_test(seed(1)(mutant), settings=ENOUGH)
