"""Logs: structlog and the standard library's loggers in one stream of lines on standard error.

No word of a conversation is written unless it was asked for: values under the keys of ``TRANSCRIPT_KEYS`` are replaced
by their length, and libraries that log request bodies at debug level are kept above it. Lines are written by a thread
of their own, so that a slow reader of standard error never holds up the event loop.
"""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import orjson
import structlog

TRANSCRIPT_KEYS = frozenset({"text", "transcript", "delta", "instructions", "arguments", "output", "messages"})
"""Log keys that hold what somebody said. Nothing else may hold it."""

TALKATIVE_LIBRARIES = ("openai", "httpx", "httpx2", "httpcore", "httpcore2", "aiohttp.access", "asyncio")
"""Their debug lines hold requests with the conversation in them, or a line for every callback."""

CHATTY_LIBRARIES = ("aioice", "aiortc", "livekit")
"""They log each step of a call, and clients' addresses, as if it were news."""

QUEUE_LINES = 10_000
"""Lines that wait for the writer; more are dropped and counted."""

EventDict = MutableMapping[str, Any]


class _Writer(logging.handlers.QueueHandler):
    """Formats in the caller's context, hands the line to the writing thread, and drops it when that is behind."""

    def __init__(self, lines: queue.Queue[Any]) -> None:
        super().__init__(lines)
        self._lines = lines  # unbounded, so that the listener's end mark always fits
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        if self._lines.qsize() < QUEUE_LINES:
            self._lines.put_nowait(record)
        else:
            self.dropped += 1


def _logger_name(_logger: Any, _method: str, event: EventDict) -> EventDict:
    event["logger"] = event["_record"].name
    return event


def _hide_transcripts(_logger: Any, _method: str, event: EventDict) -> EventDict:
    for key in TRANSCRIPT_KEYS & event.keys():
        event[f"{key}_chars"] = len(str(event.pop(key)))
    return event


def _dumps(event: Any, default: Any) -> str:
    return orjson.dumps(event, default=default).decode()


def _formatter(log_format: str, *, log_transcripts: bool, colors: bool) -> structlog.stdlib.ProcessorFormatter:
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if not log_transcripts:
        shared.append(_hide_transcripts)
    last: list[structlog.types.Processor]
    if log_format == "json":
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
    else:
        plain = structlog.dev.plain_traceback  # a rich one would show local variables, and so what was said
        last = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return structlog.stdlib.ProcessorFormatter(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )


@contextmanager
def logging_to(
    stream: TextIO, log_format: str = "auto", log_level: str = "info", *, log_transcripts: bool = False
) -> Iterator[None]:
    """Sends all logs of the process to ``stream`` until the block is left, and everything is written by then."""
    # gRPC's core writes lines of its own to stderr; what matters of them comes as errors to whoever calls.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    terminal = stream.isatty()
    if log_format == "auto":
        log_format = "console" if terminal else "json"
    lines: queue.Queue[Any] = queue.Queue()
    writer = _Writer(lines)
    writer.setFormatter(_formatter(log_format, log_transcripts=log_transcripts, colors=terminal))
    listener = logging.handlers.QueueListener(lines, logging.StreamHandler(stream))

    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = [writer]
    root.setLevel(log_level.upper())
    names = (*TALKATIVE_LIBRARIES, *CHATTY_LIBRARIES)
    quiet = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    for library, _ in quiet:
        if library.name in CHATTY_LIBRARIES:
            library.setLevel(max(logging.WARNING, root.level))
        elif not log_transcripts:
            library.setLevel(max(logging.INFO, root.level))
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    listener.start()
    try:
        yield
    finally:
        listener.stop()
        if writer.dropped:
            sys.stderr.write(f"{writer.dropped} log lines were dropped: they were read too slowly\n")
        structlog.reset_defaults()
        for library, previous in quiet:
            library.setLevel(previous)
        root.handlers[:] = handlers
        root.setLevel(level)
