"""Which function is asked for, with which values, and how a result is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from antiphon.core.settings import Tool
from antiphon.engines.tool_rules import choose_call, spoken_result, was_stopped


def tool(name: str, description: str, required: tuple[str, ...] = (), **properties: dict[str, Any]) -> Tool:
    return Tool(name, description, {"type": "object", "properties": properties, "required": list(required)})


WEATHER = tool(
    "get_weather",
    "Get the current weather in a city",
    ("city",),
    city={"type": "string", "description": "The city's name"},
    unit={"type": "string", "enum": ["celsius", "fahrenheit"]},
)
LIGHT = tool(
    "setLight",
    "Turn the light of a room on or off",
    ("room", "on"),
    room={"type": "string", "enum": ["kitchen", "living_room"]},
    on={"type": "boolean"},
)
ADD = tool(
    "add_numbers",
    "Add two numbers",
    ("a", "b"),
    a={"type": "number"},
    b={"type": "number"},
)
FLIGHT = tool(
    "book_flight",
    "Book a flight",
    ("origin", "destination"),
    origin={"type": "string"},
    destination={"type": "string"},
    date={"type": "string", "format": "date"},
    passengers={"type": "integer"},
)
TIME = tool("get_time", "Tells the current time")
ORDER = tool("lookup_order", "Look up the status of an order", ("order_id",), order_id={"type": "integer"})
TOOLS = (WEATHER, LIGHT, ADD, FLIGHT, TIME, ORDER)


def chosen(said: str, tool_choice: str = "auto", tools: tuple[Tool, ...] = TOOLS) -> tuple[str, dict[str, Any]] | None:
    call = choose_call(tools, tool_choice, said)
    return None if call is None else (call.name, json.loads(call.arguments))


@pytest.mark.parametrize(
    ("said", "name", "arguments"),
    [
        ("What's the weather in Paris?", "get_weather", {"city": "Paris"}),
        (
            "Tell me the weather for New York in Fahrenheit.",
            "get_weather",
            {"city": "New York", "unit": "fahrenheit"},
        ),
        ("weather in Oslo", "get_weather", {"city": "Oslo"}),
        ("What is the weather like in Berlin tomorrow?", "get_weather", {"city": "Berlin"}),
        ("Turn off the light in the kitchen.", "setLight", {"room": "kitchen", "on": False}),
        ("Please turn on the living room lights", "setLight", {"room": "living_room", "on": True}),
        ("Add the numbers three and 4.5", "add_numbers", {"a": 3, "b": 4.5}),
        ("Add the numbers one hundred and twenty and minus, well, 2,500", "add_numbers", {"a": 120, "b": 2500}),
        (
            "Book a flight from Paris to San Francisco for two passengers on Monday.",
            "book_flight",
            {"origin": "Paris", "destination": "San Francisco", "passengers": 2},
        ),
        ("What time is it?", "get_time", {}),
        ("What is the status of order 1234?", "lookup_order", {"order_id": 1234}),
    ],
)
def test_what_is_asked_for_is_called(said: str, name: str, arguments: dict[str, Any]) -> None:
    assert chosen(said) == (name, arguments)


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Hello, how are you?",
        "My name is Sam.",
        "Tell me a story.",
        "The weather was awful when we were in Paris last year and I was glad to be home again.",
        "I often turn in early.",
        "What is the status of my order?",  # nobody can look up an order without its number
    ],
)
def test_what_is_not_asked_for_is_not_called(said: str) -> None:
    assert chosen(said) is None


def test_the_choice_of_the_client_is_kept() -> None:
    assert chosen("What's the weather in Paris?", "none") is None
    assert chosen("Hello there.", "required") is not None
    assert chosen("What's the weather in Paris?", "required") == ("get_weather", {"city": "Paris"})
    assert chosen("Hello there.", "function:get_time") == ("get_time", {})
    assert chosen("What's the weather in Paris?", "function:no_such") is None
    assert chosen("What's the weather in Paris?", tools=()) is None


def test_a_call_that_is_demanded_is_made_with_what_there_is() -> None:
    assert chosen("Look up my order", "function:lookup_order") == ("lookup_order", {})


@pytest.mark.parametrize("parameters", [{}, {"type": "object"}, {"properties": {"x": True}}, {"properties": []}])
def test_any_schema_will_do(parameters: dict[str, Any]) -> None:
    assert chosen("Roll the dice!", tools=(Tool("roll_dice", "", parameters),)) == ("roll_dice", {})


@pytest.mark.parametrize(
    ("output", "spoken"),
    [
        ("It is raining.", "It is raining."),
        ("", "That is done."),
        ("null", "That is done."),
        ('{"ok": true}', "That is done."),
        ("false", "I am sorry, that did not work."),
        ("42", "The result is 42."),
        ('"sunny"', "sunny"),
        ('{"temperature": 21, "sky_state": "clear"}', "The temperature is 21, and the sky state is clear."),
        ('{"a": 1, "b": 2, "c": true}', "The a is 1, the b is 2, and the c is yes."),
        ('{"wind": {"speed": 3}}', "The wind speed is 3."),
        ('{"names": ["Ann", "Bo", "Cy"]}', "The names are Ann, Bo and Cy."),
        ('{"error": "No such city."}', "I am sorry, that did not work. No such city."),
        ("[1, 2]", "The result is 1 and 2."),
    ],
)
def test_results_are_said_plainly(output: str, spoken: str) -> None:
    assert spoken_result(output) == spoken


def test_what_was_stopped_is_known() -> None:
    assert was_stopped('{"cancelled": "The user spoke."}')
    assert not any(map(was_stopped, ("cancelled", "{}", '{"cancelled": true, "price": 3}', "[1]")))
