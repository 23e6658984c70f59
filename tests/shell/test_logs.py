from __future__ import annotations

import io
import json
import logging
import threading

import pytest
import structlog

from antiphon.apps import logs
from antiphon.apps.logs import logging_to


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_lines_are_json_off_a_terminal_and_bind_the_session() -> None:
    stream = io.StringIO()
    with logging_to(stream), structlog.contextvars.bound_contextvars(session="sess_1"):
        structlog.get_logger("antiphon.test").info("turn over", response_ms=212)
    (line,) = lines_of(stream)
    assert line["event"] == "turn over"
    assert line["session"] == "sess_1"
    assert line["response_ms"] == 212
    assert line["level"] == "info"
    assert line["logger"] == "antiphon.test"
    assert "timestamp" in line


def test_the_standard_loggers_go_the_same_way() -> None:
    stream = io.StringIO()
    with logging_to(stream, "json"), structlog.contextvars.bound_contextvars(session="sess_1"):
        logging.getLogger("aiohttp.server").warning("odd request from %s", "10.0.0.1")
    (line,) = lines_of(stream)
    assert line["event"] == "odd request from 10.0.0.1"
    assert line["logger"] == "aiohttp.server"
    assert line["session"] == "sess_1"


def test_the_console_form() -> None:
    stream = io.StringIO()
    with logging_to(stream, "console"):
        structlog.get_logger("antiphon.test").warning("slow", lag_ms=40)
    assert "slow" in stream.getvalue()
    assert "lag_ms=40" in stream.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_words_of_a_conversation_are_logged_unless_asked_for(log_format: str) -> None:
    quiet, open_ = io.StringIO(), io.StringIO()
    with logging_to(quiet, log_format):
        structlog.get_logger("antiphon.test").info("heard", transcript="my secret", words=2)
    with logging_to(open_, log_format, log_transcripts=True):
        structlog.get_logger("antiphon.test").info("heard", transcript="my secret", words=2)
    assert "secret" not in quiet.getvalue()
    assert "transcript_chars" in quiet.getvalue()
    assert "my secret" in open_.getvalue()


def test_libraries_that_log_request_bodies_are_kept_above_debug() -> None:
    stream = io.StringIO()
    with logging_to(stream, "json", "debug"):
        logging.getLogger("openai").debug("Request options: %s", {"messages": "my secret"})
        logging.getLogger("antiphon.test").debug("shown")
    assert [line["event"] for line in lines_of(stream)] == ["shown"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_show_no_values(log_format: str) -> None:
    def fails(heard: str) -> None:
        raise ValueError("no such thing")

    stream = io.StringIO()
    with logging_to(stream, log_format):
        try:
            fails(heard=" ".join(["my", "secret"]))
        except ValueError:
            structlog.get_logger("antiphon.test").exception("failed")
    assert "no such thing" in stream.getvalue()
    assert "my secret" not in stream.getvalue()


def test_levels() -> None:
    stream = io.StringIO()
    with logging_to(stream, "json", "warning"):
        structlog.get_logger("antiphon.test").info("hidden")
        structlog.get_logger("antiphon.test").warning("shown")
    assert [line["event"] for line in lines_of(stream)] == ["shown"]


def test_everything_is_as_before_afterwards() -> None:
    root = logging.getLogger()
    before = (root.handlers[:], root.level, threading.active_count())
    with logging_to(io.StringIO()):
        assert root.handlers != before[0]
    assert (root.handlers, root.level, threading.active_count()) == before


class BlockedStream(io.StringIO):
    """A pipe that nobody reads until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.released.wait()
        return super().write(text)


def test_a_reader_that_is_slow_loses_lines_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "QUEUE_LINES", 10)
    stream = BlockedStream()
    with logging_to(stream, "json"):
        for number in range(50):
            structlog.get_logger("antiphon.test").info("line", number=number)
        stream.released.set()
    written = len(lines_of(stream))
    assert 10 <= written <= 11
    assert f"{50 - written} log lines were dropped" in capsys.readouterr().err
