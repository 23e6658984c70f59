"""A stream of chat completions as the deltas of a brain. Pure."""

from __future__ import annotations

import uuid
from typing import Any

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta
from antiphon.core.text import Halves
from antiphon.engines.chat_messages import CallCollector, ThoughtFilter


class ChatAnswer:
    """What has come of one answer so far, in chunks of chat completions."""

    def __init__(self, request: BrainRequest) -> None:
        self.began = False
        taken = frozenset(message.call_id for message in request.messages if message.call_id)
        self._calls = CallCollector(taken, f"call_{uuid.uuid4().hex[:20]}")
        self._halves = Halves()
        self._thoughts = ThoughtFilter()
        self._reason = "stop"
        self._input_tokens = 0
        self._output_tokens = 0
        self._cached_tokens = 0

    def push(self, chunk: Any) -> list[BrainDelta]:
        """The deltas in one chunk. Raises what a chunk of an unknown shape causes."""
        if chunk.usage is not None:
            self._input_tokens = chunk.usage.prompt_tokens or 0
            self._output_tokens = chunk.usage.completion_tokens or 0
            details = getattr(chunk.usage, "prompt_tokens_details", None)
            self._cached_tokens = getattr(details, "cached_tokens", None) or 0
            self.began = True
        deltas: list[BrainDelta] = []
        for choice in chunk.choices or ():
            self.began = True
            self._reason = choice.finish_reason or self._reason
            if choice.delta is None:
                continue
            if choice.delta.content:
                text = self._thoughts.push(self._halves.push(choice.delta.content))
                deltas += [TextDelta(text)] if text else []
            for piece in choice.delta.tool_calls or ():
                deltas += self._calls.push(piece)
        return deltas

    def finish(self) -> list[BrainDelta]:
        text = self._thoughts.push(self._halves.finish()) + self._thoughts.finish()
        reason = "tool_calls" if self._calls.any else "length" if self._reason == "length" else "stop"
        end = Finish(reason, self._input_tokens, self._output_tokens, self._cached_tokens)
        return [*([TextDelta(text)] if text else []), *self._calls.finish(), end]
