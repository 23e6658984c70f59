"""One call of a tool, to its end: its result, why it failed, or that it was taken back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from pydantic_core import to_json

from antiphon.agents.agent import Agent
from antiphon.agents.base import AgentTool, ArgumentsError, ToolError
from antiphon.agents.context import Context
from antiphon.agents.ledger import Call
from antiphon.core.text import valid

log = structlog.get_logger(__name__)

MAX_OUTPUT_CHARS = 64 * 1024
"""A model reads a longer result at every turn that follows, and an item must fit into one event."""

_STOP_LIMIT_S = 1.0
"""So long a tool that is cancelled may take to clean up."""

_ADVICE = "Tell the user in one short sentence that this did not work, say that you are sorry, and go on."


@dataclass(frozen=True, slots=True)
class Outcome:
    """``output`` is what the model reads. ``agent`` is whom the conversation goes to."""

    output: str
    error: str | None = None
    agent: Agent | None = None
    cancelled: bool = False


CANCELLED = Outcome('{"cancelled":"The user spoke before it was done."}', cancelled=True)
NEVER_RUN = Outcome('{"cancelled":"The reply was cut off before this was begun."}', cancelled=True)


async def run_call(tool: AgentTool, call: Call, context: Context) -> Outcome:
    """Raises nothing but CancelledError. A tool that does not stop when it is told to is left behind."""
    try:
        arguments = _arguments(call.arguments)
    except ArgumentsError as error:
        return _failed(str(error), advice=None)
    running = asyncio.ensure_future(_contained(tool, arguments, context))
    try:
        in_time, _ = await asyncio.wait({running}, timeout=tool.timeout_s)
    finally:
        if not running.done():
            await _stop(running, tool.spec.name)
    if not in_time:
        log.warning("a tool took too long", tool=tool.spec.name, limit_s=tool.timeout_s)
        return _failed(f"It took longer than {tool.timeout_s:g} seconds.")
    if running.cancelled():
        log.error("a tool was cancelled by itself", tool=tool.spec.name)
        return failed()
    return _outcome(tool.spec.name, running)


async def _contained(tool: AgentTool, arguments: dict[str, Any], context: Context) -> Any:
    try:
        return await tool.call(arguments, context)
    except (SystemExit, KeyboardInterrupt) as error:
        # An event loop ends by these, and the server with it.
        raise RuntimeError(f"a tool wanted to end the program ({type(error).__name__})") from error


async def _stop(running: asyncio.Future[Any], name: str) -> None:
    running.cancel()
    await asyncio.wait({running}, timeout=_STOP_LIMIT_S)
    if not running.done():
        log.error("a tool does not stop, and is left behind", tool=name)
        running.add_done_callback(_forget)


def _forget(running: asyncio.Future[Any]) -> None:
    if not running.cancelled():
        running.exception()


def _arguments(text: str) -> dict[str, Any]:
    try:
        given = orjson.loads(text.strip() or "{}")
    except ValueError as error:
        raise ArgumentsError(f"The arguments are not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ArgumentsError("The arguments are not a JSON object")
    return given


def _outcome(name: str, done: asyncio.Future[Any]) -> Outcome:
    error = done.exception()
    if error is None:
        result = done.result()
        if isinstance(result, Agent):
            return Outcome(orjson.dumps({"handed_over_to": result.name}).decode(), agent=result)
        try:
            return Outcome(output_of(result))
        except Exception as problem:
            log.exception("a tool's result cannot be written as JSON", tool=name, exc_info=problem)
            return _failed("Its result could not be read.")
    if isinstance(error, ArgumentsError):
        return _failed(str(error), advice=None)
    if isinstance(error, ToolError):
        log.info("a tool could not do what it was asked", tool=name)
        return _failed(str(error))
    log.error("a tool failed", tool=name, exc_info=error)
    return failed()


def failed() -> Outcome:
    """For reasons that are not the user's to know."""
    return _failed("There was an error.")


def _failed(reason: str, advice: str | None = _ADVICE) -> Outcome:
    reason = valid(reason)
    told = {"error": reason} | ({"what_to_do": advice} if advice else {})
    return Outcome(orjson.dumps(told).decode(), error=reason)


def output_of(result: Any) -> str:
    """A result as the model reads it, cut where it is too long."""
    if result is None:
        return '{"ok":true}'
    text = valid(result) if isinstance(result, str) else to_json(result, fallback=str).decode()
    if len(text) <= MAX_OUTPUT_CHARS:
        return text
    return f"{text[:MAX_OUTPUT_CHARS]} [cut: {len(text)} characters in all]"
