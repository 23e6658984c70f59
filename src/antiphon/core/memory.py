"""What of a conversation a language model is given: within a budget of tokens, and what is older as a summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from antiphon.core.conversation import Item
from antiphon.core.speech import BrainRequest, Message
from antiphon.ids import ItemId

CHARS_PER_TOKEN = 4.0
"""Of English text in the usual vocabularies, where the model does not count for us."""

MESSAGE_TOKENS = 4.0
"""What a message takes besides its text: its role and where it ends."""

IMAGE_TOKENS = 1000.0
"""About what models of one tile for each 512 pixels take for a picture of a screen."""

SUMMARIZE_AT = 0.8
"""A summary is due when the context takes so much of the budget ..."""

KEEP = 0.5
"""... and leaves so much of it to what is given word for word."""

_LEAST_SCALE, _MOST_SCALE = 0.25, 4.0

INSTRUCTION = (
    "You keep the notes of a conversation between a user and an assistant. Write down what must not be forgotten of "
    "the part below: who the user is, what they want, names, figures, what was agreed, what is open. Take over what "
    "still matters of the notes so far. Plain sentences in the language of the conversation, at most {words} words, "
    "and nothing else."
)


def tokens_of(message: Message) -> float:
    """About how many tokens a message takes."""
    text = len(message.text) + len(message.name or "") + len(message.arguments or "")
    return MESSAGE_TOKENS + text / CHARS_PER_TOKEN + IMAGE_TOKENS * len(message.images)


def request_tokens(request: BrainRequest) -> float:
    """About how many a whole request does, with the functions that it offers."""
    tools = sum(len(tool.name) + len(tool.description) + len(str(tool.parameters)) for tool in request.tools)
    return sum(map(tokens_of, request.messages)) + tools / CHARS_PER_TOKEN


@dataclass(frozen=True, slots=True)
class Due:
    """Items that are to be summarized, and what was summarized before them."""

    items: tuple[ItemId, ...]
    messages: tuple[Message, ...]
    notes: str = ""

    def request(self, words: int) -> tuple[Message, ...]:
        """What to ask a language model, which is to answer in at most so many words."""
        before = f"Notes so far:\n{self.notes}\n\n" if self.notes else ""
        told = "\n".join(_line(message) for message in self.messages)
        return (Message("system", INSTRUCTION.format(words=words)), Message("user", f"{before}Conversation:\n{told}"))


class Memory:
    """Which items of one conversation are given as they are, which as notes, and which not at all.

    Whole turns are given or left out: what the user said with all that came of it, a function's call never without its
    result. What has the role ``system`` is always given, and so is the newest turn.
    """

    def __init__(self, budget_tokens: int, *, notes: str = "", covered: Iterable[ItemId] = ()) -> None:
        """``notes`` stand for the items ``covered``: what another session of this conversation had remembered."""
        self.budget_tokens = budget_tokens
        self.notes = notes
        self.covered = frozenset(covered)
        """The items that are not given any more: they are in the notes, or let go."""
        self.scale = 1.0
        """What the model counts for each token that is reckoned here."""

    @property
    def words(self) -> int:
        """How long notes may be: an eighth of the budget, at three words for four tokens."""
        return max(30, self.budget_tokens * 3 // 32)

    @property
    def preface(self) -> tuple[Message, ...]:
        """The notes, as what goes before all else that a model is given of the conversation."""
        return (Message("system", f"Notes of the conversation so far:\n{self.notes}"),) if self.notes else ()

    def given(self, items: Iterable[Item]) -> list[Item]:
        """The items that a model is given now. They exceed the budget only by what is always given."""
        turns = _turns(self._uncovered(items))
        dropped = _oldest(turns, sum(map(tokens_of, self.preface)), self.budget_tokens / self.scale)
        kept = [item for turn in turns[:dropped] for item in turn if _stays(item)]
        return _with_their_calls([*kept, *(item for turn in turns[dropped:] for item in turn)])

    def due(self, items: Iterable[Item]) -> Due | None:
        """What is to be summarized now, if anything is: the oldest turns, so many that the rest is ``KEEP``."""
        turns = _turns(self._uncovered(items))
        budget_tokens = self.budget_tokens / self.scale
        if not _oldest(turns, sum(map(tokens_of, self.preface)), SUMMARIZE_AT * budget_tokens):
            return None
        dropped = _oldest(turns, 0.0, KEEP * budget_tokens)
        old = [item for turn in turns[:dropped] for item in turn if not _stays(item)]
        several = len({segment.speaker for item in old for segment in item.segments} - {None}) > 1
        messages = [message for item in old if (message := item.message(with_speakers=several)) is not None]
        return Due(tuple(item.id for item in old), tuple(messages), self.notes) if messages else None

    def summarized(self, due: Due, notes: str) -> None:
        """``notes`` now stand for what was due, and for what they stood for before."""
        self.notes = notes.strip()
        self.let_go(due)

    def let_go(self, due: Due) -> None:
        """What was due is not given any more, and the notes do not tell of it."""
        self.covered |= frozenset(due.items)

    def counted(self, estimated: float, tokens: int) -> None:
        """The model counts so many ``tokens`` where ``estimated`` were expected: the next are reckoned accordingly."""
        if tokens > 0 and estimated > 0:
            self.scale = min(max(tokens / estimated, _LEAST_SCALE), _MOST_SCALE)

    def _uncovered(self, items: Iterable[Item]) -> list[Item]:
        return [item for item in items if item.id not in self.covered]


def _stays(item: Item) -> bool:
    return item.role == "system"


def _turns(items: Sequence[Item]) -> list[list[Item]]:
    """The items in whole turns: each begins with what the user said, unless a result is still to come to a call."""
    results = {item.call_id: index for index, item in enumerate(items) if item.kind == "function_call_output"}
    turns: list[list[Item]] = [[]]
    owed = -1
    for index, item in enumerate(items):
        if item.role == "user" and index > owed and turns[-1]:
            turns.append([])
        turns[-1].append(item)
        if item.kind == "function_call":
            owed = max(owed, results.get(item.call_id, -1))
    return turns


def _oldest(turns: Sequence[Sequence[Item]], before_tokens: float, limit_tokens: float) -> int:
    """How many turns are to be left out, so that the others stay within the limit together with what goes before them,
    and with those items that always stay. Never the newest.
    """
    tokens = before_tokens + sum(_item_tokens(item) for turn in turns for item in turn)
    for dropped, turn in enumerate(turns[:-1]):
        if tokens <= limit_tokens:
            return dropped
        tokens -= sum(_item_tokens(item) for item in turn if not _stays(item))
    return max(0, len(turns) - 1)


def _item_tokens(item: Item) -> float:
    message = item.message()
    return 0.0 if message is None else tokens_of(message)


def _with_their_calls(items: Sequence[Item]) -> list[Item]:
    """Without the results of calls that are not there: a call that was let go before its result had come."""
    calls = {item.call_id for item in items if item.kind == "function_call"}
    return [item for item in items if item.kind != "function_call_output" or item.call_id in calls]


def _line(message: Message) -> str:
    if message.role == "tool":
        return f"Result: {message.text}"
    if message.name is not None:
        return f"Assistant calls {message.name}({message.arguments or ''})"
    seen = " (with a picture)" if message.images else ""
    return f"{message.role.capitalize()}{seen}: {message.text}"
