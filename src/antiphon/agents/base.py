"""The small Protocol behind which every tool of an agent stands, wherever it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from antiphon.agents.context import Context
from antiphon.core.settings import Tool as ToolSpec
from antiphon.errors import AntiphonError

TIMEOUT_S = 30.0
"""How long a tool may take unless it says otherwise."""


class ToolError(AntiphonError):
    """What a tool raises to have the model told why it did not work, in words that may be spoken."""


class ArgumentsError(ToolError):
    """The model has called a tool with arguments that do not fit; it is told, and may try again."""


@runtime_checkable
class AgentTool(Protocol):
    """A function that the model may call and the server answers."""

    @property
    def spec(self) -> ToolSpec:
        """What the model is told of it."""
        ...

    @property
    def timeout_s(self) -> float:
        """A call that takes longer has failed."""
        ...

    @property
    def cancel_on_barge_in(self) -> bool:
        """The user's next words end a call that is running. Otherwise it runs to its end, and the model knows the
        result."""
        ...

    @property
    def fillers(self) -> tuple[str, ...] | None:
        """What is said while it takes its time, one after the other; None: what the agent says then."""
        ...

    async def call(self, arguments: Mapping[str, Any], context: Context) -> Any:
        """The result: a text, anything that JSON can say, or an Agent, which takes over the conversation.

        Raises ToolError, or anything else, which the model is told of without its words. Cancelling it ends the call,
        or at least the wait for it.
        """
        ...
