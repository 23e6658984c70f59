"""``@tool``: a Python function that an agent's model may call."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from antiphon.agents.base import TIMEOUT_S
from antiphon.agents.context import Context
from antiphon.agents.schema import signature_of
from antiphon.agents.threads import THREADS
from antiphon.core.settings import Tool as ToolSpec
from antiphon.errors import ConfigError


def texts_of(filler: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Fillers as people give them: several, one, or ``""`` for none."""
    return (
        None if filler is None else tuple(text for text in ((filler,) if isinstance(filler, str) else filler) if text)
    )


class FunctionTool:
    """A function, and how it is to be called. It can still be called as the function that it was."""

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_s: float = TIMEOUT_S,
        cancel_on_barge_in: bool = False,
        filler: str | tuple[str, ...] | None = None,
    ) -> None:
        if timeout_s <= 0:
            raise ConfigError(f"tool {name or function}: timeout_s must be more than 0")
        self._function = function
        self._signature = signature_of(function, name, description)
        self.spec = ToolSpec(self._signature.name, self._signature.description, self._signature.parameters)
        self.timeout_s = timeout_s
        self.cancel_on_barge_in = cancel_on_barge_in
        self.fillers = texts_of(filler)
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    async def call(self, arguments: Mapping[str, Any], context: Context) -> Any:
        """As ``AgentTool.call``; a plain function runs in a thread."""
        given = self._signature.bind(arguments)
        if self._signature.context_name is not None:
            given[self._signature.context_name] = context
        if inspect.iscoroutinefunction(self._function):
            return await self._function(**given)
        work = functools.partial(contextvars.copy_context().run, self._function, **given)
        result = await asyncio.get_running_loop().run_in_executor(THREADS, work)
        return await result if inspect.isawaitable(result) else result


@overload
def tool(function: Callable[..., Any], /) -> FunctionTool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = TIMEOUT_S,
    cancel_on_barge_in: bool = False,
    filler: str | tuple[str, ...] | None = None,
) -> Callable[[Callable[..., Any]], FunctionTool]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_s: float = TIMEOUT_S,
    cancel_on_barge_in: bool = False,
    filler: str | tuple[str, ...] | None = None,
) -> FunctionTool | Callable[[Callable[..., Any]], FunctionTool]:
    """Makes a tool of a function, async or not, with or without brackets.

    The model is told the function's name, the description at the beginning of its docstring, and its parameters, by
    their type hints and what the docstring says of each (``Args:``). The result is a text, or anything that JSON can
    say; an ``Agent`` takes over the conversation. A parameter of type ``Context`` gets that.

    ``timeout_s``: a call that takes longer has failed, and the user is told so.
    ``cancel_on_barge_in``: the user's next words end it. Otherwise it runs to its end, and its result is known then.
    ``filler``: what is said while it takes its time, instead of what the agent says then; of several one after the
    other, and ``""`` is nothing.

    Raises ConfigError for a function that cannot be described.
    """

    def made(function: Callable[..., Any]) -> FunctionTool:
        return FunctionTool(
            function,
            name=name,
            description=description,
            timeout_s=timeout_s,
            cancel_on_barge_in=cancel_on_barge_in,
            filler=filler,
        )

    return made if function is None else made(function)
