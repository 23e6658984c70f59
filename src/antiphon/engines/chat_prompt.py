"""A request as a prompt: a model's own chat template, in the tokens of its own tokenizer (one of transformers)."""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from antiphon.core.speech import BrainRequest, Message
from antiphon.engines.chat_messages import chat_messages, chat_tools
from antiphon.engines.context_window import within
from antiphon.engines.token_tape import INSIDE, Tokens
from antiphon.errors import EngineError

_GOES_ON = "\ue000\ue001"
"""Stands for the words that will be added; of the characters that nobody has given a meaning."""
_COUNTED_TEXTS = 4096
_CALL_BEGINS = "<tool_call>\n"


class ChatPrompt:
    """Makes prompts of requests. Used in threads, by one at a time."""

    def __init__(self, tokenizer: Any, limit: int, *, thinking: bool = False) -> None:
        """``limit`` is the most tokens of a prompt. Raises EngineError for a model that is none to converse with."""
        if not getattr(tokenizer, "chat_template", None):
            raise EngineError("it has no chat template: take a model that was made to converse (instruct, chat)")
        if not tokenizer.is_fast:
            raise EngineError("its tokenizer has no tokenizer.json: take a repository that has one")
        self._tokenizer = tokenizer
        self._limit = limit
        self._thinking = thinking
        self._counts: OrderedDict[str, int] = OrderedDict()
        marks = {str(token) for token in tokenizer.all_special_tokens}
        self._marks = re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")

    def to_answer(self, request: BrainRequest) -> tuple[Tokens, str]:
        """The prompt up to where the answer begins, and the beginning that the answer is given with it, if any."""
        chat, tools = self._chat(request)
        begun = _begun(request) if tools else ""
        return self._tokens(self._rendered(chat, tools, answer=True) + begun), begun

    def to_read(self, request: BrainRequest) -> Tokens:
        """So much of the prompt as stays when words are added to the last message, if that is the user's."""
        chat, tools = self._chat(request)
        if chat[-1]["role"] != "user":
            return self._tokens(self._rendered(chat, tools, answer=False))
        chat[-1] = chat[-1] | {"content": chat[-1]["content"] + _GOES_ON}
        return self._tokens(self._rendered(chat, tools, answer=False).partition(_GOES_ON)[0])

    def _chat(self, request: BrainRequest) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        if any(message.images for message in request.messages):
            raise EngineError("this language model reads text alone: it cannot be shown an image")
        choice = request.tool_choice
        tools = chat_tools(request.tools, choice).get("tools", []) if choice != "none" else []
        messages = within(request.messages, self._limit - self._count(json.dumps(tools) if tools else ""), self._count)
        chat = [_for_template(entry) for entry in chat_messages([self._plain(each) for each in messages])]
        return chat or [{"role": "user", "content": ""}], tools  # no template has a conversation of nothing

    def _plain(self, message: Message) -> Message:
        """Nobody ends a message by saying the mark for it: the marks of the template lose their meaning in texts."""
        if not self._marks.search(message.text):
            return message
        text = self._marks.sub(lambda mark: f"{mark[0][0]} {mark[0][1:]}", message.text)
        return Message(message.role, text, message.call_id, message.name, message.arguments)

    def _count(self, text: str) -> int:
        count = self._counts.get(text)
        if count is None:
            count = self._counts[text] = len(self._tokenizer(text, add_special_tokens=False).input_ids)
            if len(self._counts) > _COUNTED_TEXTS:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(text)
        return count

    def _rendered(self, chat: list[dict[str, Any]], tools: list[dict[str, Any]], *, answer: bool) -> str:
        """Raises EngineError for messages that the template does not have."""
        try:
            return self._templated(chat, tools, answer=answer)
        except Exception as error:
            if chat and chat[0]["role"] == "system":  # which some models do not know
                return self._rendered(_told_by_user(chat), tools, answer=answer)
            raise EngineError(f"the model's chat template does not take this conversation: {error}") from error

    def _templated(self, chat: list[dict[str, Any]], tools: list[dict[str, Any]], *, answer: bool) -> str:
        text: str = self._tokenizer.apply_chat_template(
            chat,
            tools=tools or None,
            add_generation_prompt=answer,
            tokenize=False,
            enable_thinking=self._thinking,
        )
        return text

    def _tokens(self, text: str) -> Tokens:
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        offsets: Sequence[tuple[int, int]] = encoded.offset_mapping
        starts = [start for start, _ in offsets[1:]] + [len(text)]
        ends = [end if after >= end else INSIDE for (_, end), after in zip(offsets, starts, strict=True)]
        return Tokens(text, encoded.input_ids, ends)


def _begun(request: BrainRequest) -> str:
    """A call that must come is begun for the model, in the form of Hermes and Qwen."""
    choice = request.tool_choice
    if choice.startswith("function:"):
        return f'{_CALL_BEGINS}{{"name": {json.dumps(choice.removeprefix("function:"))}, "arguments": '
    return _CALL_BEGINS if choice == "required" else ""


def _for_template(entry: dict[str, Any]) -> dict[str, Any]:
    """Templates want the arguments of a call as an object, and a text where there is none."""
    if "tool_calls" not in entry:
        return entry
    return entry | {"content": "", "tool_calls": [_with_object(call) for call in entry["tool_calls"]]}


def _with_object(call: dict[str, Any]) -> dict[str, Any]:
    function = call["function"]
    try:
        arguments = json.loads(function["arguments"])
    except ValueError:
        return call
    return call | {"function": function | {"arguments": arguments}}


def _told_by_user(chat: list[dict[str, Any]]) -> list[dict[str, Any]]:
    system, *rest = chat
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system["content"]}, *rest]
    return [rest[0] | {"content": f"{system['content']}\n\n{rest[0]['content']}"}, *rest[1:]]
