from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from antiphon.agents.base import ArgumentsError
from antiphon.agents.context import Context
from antiphon.agents.schema import read_docstring, signature_of
from antiphon.errors import ConfigError


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Place:
    street: str
    number: int = 1


class Guest(BaseModel):
    name: str
    age: int | None = None


def order(
    dish: str,
    count: int = 1,
    size: Size = Size.SMALL,
    when: Annotated[date | None, Field(description="The day")] = None,
    spice: Literal["mild", "hot"] = "mild",
    *,
    to: Place | None = None,
    guests: Sequence[Guest] = (),
    schema: str = "",
    context: Context | None = None,
) -> str:
    """Orders a dish
    and has it brought.

    Args:
        dish: What to eat,
            by its name.
        count (int): How many.
        when: It is said already.

    Returns:
        The number of the order.
    """
    return dish


def test_a_function_is_described_by_its_hints_and_its_docstring() -> None:
    made = signature_of(order)
    assert made.name == "order"
    assert made.description == "Orders a dish\nand has it brought."
    assert made.context_name == "context"
    properties = made.parameters["properties"]
    assert list(properties) == ["dish", "count", "size", "when", "spice", "to", "guests", "schema"]
    assert properties["dish"] == {"type": "string", "description": "What to eat, by its name."}
    assert properties["count"] == {"type": "integer", "default": 1, "description": "How many."}
    assert properties["when"]["description"] == "The day"
    assert properties["spice"]["enum"] == ["mild", "hot"]
    assert made.parameters["required"] == ["dish"]
    assert made.parameters["$defs"]["Size"]["enum"] == ["small", "large"]
    assert "title" not in str(made.parameters)


def test_arguments_come_as_the_types_that_were_stated_and_defaults_stay_with_the_function() -> None:
    made = signature_of(order)
    given = made.bind(
        {"dish": "soup", "size": "large", "when": "2026-01-02", "to": {"street": "Hill"}, "guests": [{"name": "A"}]}
    )
    assert given == {
        "dish": "soup",
        "size": Size.LARGE,
        "when": date(2026, 1, 2),
        "to": Place("Hill"),
        "guests": [Guest(name="A")],
    }
    assert made.bind({"dish": "soup", "unheard_of": 1}) == {"dish": "soup"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({}, "dish: Field required"), ({"dish": "a", "count": "many"}, "count: "), ({"dish": ["a"]}, "dish: ")],
)
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ArgumentsError, match=named):
        signature_of(order).bind(arguments)


def test_a_function_without_parameters_takes_an_empty_object() -> None:
    def now() -> str:
        """The time."""
        return ""

    made = signature_of(now, name="clock", description="Tells the time.")
    assert (made.name, made.description) == ("clock", "Tells the time.")
    assert made.parameters == {"type": "object", "properties": {}}
    assert made.bind({}) == {}


def untyped(place) -> None:  # type: ignore[no-untyped-def]
    pass


def several(*places: str) -> None:
    pass


def strange(place: object, thing: threading.Lock) -> None:  # type: ignore[name-defined]  # noqa: F821
    pass


def unreadable(thing: Overriding) -> None:
    pass


class Overriding:
    pass


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (untyped, "state the type of place"),
        (several, "name each parameter"),
        (strange, "cannot be read"),
        (unreadable, "cannot give such an argument"),
    ],
)
def test_what_cannot_be_described_is_refused_with_what_to_do(function: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        signature_of(function)


def test_docstrings_of_the_other_kind_are_read_too() -> None:
    told, notes = read_docstring("Tells the time.\n\n:param str zone: Where.\n:return: The time.\n")
    assert told == "Tells the time."
    assert notes == {"zone": "Where."}
