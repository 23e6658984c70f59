from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import ProtocolError
from antiphon.transport.realtime import fields

NAN, INFINITY = float("nan"), float("inf")


def test_values_of_the_right_type_are_given_as_they_are() -> None:
    source = {"t": "x", "i": 7, "f": 1.5, "b": False}
    assert fields.text(source, "t") == "x"
    assert fields.text_or(source, "t", "y") == "x"
    assert fields.whole(source, "i", 0) == 7
    assert fields.number(source, "f", 0) == 1.5
    assert fields.number(source, "i", 0) == 7.0
    assert fields.flag(source, "b", True) is False


def test_what_is_absent_or_null_is_the_default() -> None:
    for source in ({}, {"x": None}):
        assert fields.text_or(source, "x", "y") == "y"
        assert fields.whole(source, "x", 3) == 3
        assert fields.number(source, "x", 0.5) == 0.5
        assert fields.flag(source, "x", True) is True


def test_a_clients_arithmetic_is_rounded() -> None:
    assert fields.whole({"x": 1499.6}, "x", 0) == 1500


WRONG: dict[Callable[..., Any], list[Any]] = {
    fields.text_or: [5, [], {}],
    fields.whole: ["5", True, NAN, INFINITY, 1e300, []],
    fields.number: ["5", True, NAN, []],
    fields.flag: ["true", 1, []],
}


@pytest.mark.parametrize(("read", "value"), [(read, value) for read, values in WRONG.items() for value in values])
def test_another_type_is_refused_by_name(read: Callable[..., Any], value: Any) -> None:
    with pytest.raises(ProtocolError) as caught:
        read({"x": value}, "x", None, "path.to.x")
    assert caught.value.param == "path.to.x"


@pytest.mark.parametrize("source", [{}, {"x": None}, {"x": ""}])
def test_a_required_text_that_is_missing(source: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as caught:
        fields.text(source, "x")
    assert caught.value.code == "missing_required_parameter"


@given(st.binary(max_size=50))
def test_base64_comes_back(data: bytes) -> None:
    assert fields.base64_bytes(base64.b64encode(data).decode(), "audio", 50) == data


@pytest.mark.parametrize("value", ["A", "AAA", "AA=A", "A?==", "AAAA AAAA", "ÄÄÄÄ", "____"])
def test_what_is_not_base64(value: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        fields.base64_bytes(value, "audio", 100)
    assert caught.value.code == "invalid_base64"


def test_base64_has_a_limit() -> None:
    data = base64.b64encode(bytes(30)).decode()
    assert fields.base64_bytes(data, "audio", 30) == bytes(30)
    with pytest.raises(ProtocolError) as caught:
        fields.base64_bytes(data, "audio", 27)
    assert caught.value.code == "audio_too_large"
