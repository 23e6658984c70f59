"""Function calls without a language model: does the user ask for one of these functions, and with which values?

A matcher of words, and no more. It compares the content words of what was said with those of each function's name and
description, takes the values from what follows a preposition, from numbers and from enumerated choices, and prefers no
call to a call with invented values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.core.settings import Tool

_THRESHOLD = 0.55
_NAME_WEIGHT, _DESCRIPTION_WEIGHT = 0.6, 0.4
_DESCRIPTION_MATCHES = 2
"""So many words of the description make its whole weight."""
_SHORT_REQUEST_WORDS = 5
"""Up to here words without a verb are a request: "weather in Paris"."""

_FUNCTION_WORDS = """
a an and any are as at be by can could current currently do does for from function get give gets given has have hello
hey hi i in into is it its let look make me my now of on or our out please returns return set tell that the their there
this to tool up us use used user users want was we what when where which who will with would you your some about find
show check need like how much many
"""
_NO_CONTENT = frozenset(_FUNCTION_WORDS.split())

_REQUEST = re.compile(
    r"\?\s*$|^\W*(?:(?:hey|hi|hello|ok|okay|so|now|well|then|and|please|just)\W+)*"
    r"(?:what|what's|when|where|which|who|how|how's|is|are|can|could|will|would|do|does|did|please|tell|give|show|get|set|find|"
    r"check|look|turn|switch|play|stop|start|open|close|send|call|book|order|add|remove|delete|cancel|roll|flip|search|"
    r"calculate|convert|transfer|schedule|remind|create|make|change|use|run|put|read|list|count|i want|i need|i'd like|"
    r"i would like|let's)\b",
    re.IGNORECASE,
)

_PREPOSITIONS = ("in", "for", "at", "about", "of", "to", "called", "named", "by", "with", "on", "from", "near", "into")
_EITHER = "|".join(_PREPOSITIONS)
_PHRASE = re.compile(
    rf"\b({_EITHER})\s+(.+?)(?=\s+(?:{_EITHER}|and then)\b|[,;?!]|\.\s|\.?$)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:the|a|an|my|our|some)\s+", re.IGNORECASE)
_WHEN = re.compile(
    r"\b(?:right now|now|today|tonight|tomorrow|yesterday|please"
    r"|(?:this|next|last|on)?\s*(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|week|weekend|month|year|morning|afternoon|evening|night))\b",
    re.IGNORECASE,
)
_TIME_NAME = re.compile(r"date|time|when|day|month|year", re.IGNORECASE)
_NEGATION = re.compile(r"\b(?:no|not|off|without|don't|never|disable)\b", re.IGNORECASE)

_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBER_WORDS = {word: value for value, word in enumerate(_UNITS.split())} | {
    word: 10 * value for value, word in enumerate(_TENS.split(), 2)
}
_HINTS = {"origin": "from", "source": "from", "destination": "to", "target": "to", "recipient": "to"}
"""Parameters whose value follows a certain preposition."""

_MOST_FACTS = 6


@dataclass(frozen=True, slots=True)
class Call:
    """A function to be called; ``arguments`` is a JSON object."""

    name: str
    arguments: str


def choose_call(tools: Sequence[Tool], tool_choice: str, said: str) -> Call | None:
    """The call that the user asks for, or None. ``tool_choice`` is that of ``ReplySettings``."""
    if not tools or tool_choice == "none":
        return None
    if tool_choice.startswith("function:"):
        wanted = tool_choice.removeprefix("function:")
        return next((_call(tool, said, complete=False) for tool in tools if tool.name == wanted), None)
    best = max(tools, key=lambda tool: score(tool, said))
    if tool_choice == "required":
        return _call(best, said, complete=False)
    is_request = _REQUEST.search(said) is not None or len(said.split()) <= _SHORT_REQUEST_WORDS
    return _call(best, said, complete=True) if is_request and score(best, said) >= _THRESHOLD else None


def score(tool: Tool, said: str) -> float:
    """How much the words speak for the function, from 0 to 1."""
    asked = set(_stems(said))
    name = set(_stems(_spaced(tool.name)))
    described = set(_stems(tool.description))
    for key, schema in _properties(tool).items():
        described |= set(_stems(f"{_spaced(key)} {schema.get('description', '')}"))
        described |= {stem for choice in schema.get("enum", ()) for stem in _stems(str(choice))}
    in_name = len(asked & name) / len(name) if name else 0.0
    in_description = min(len(asked & (described | name)), _DESCRIPTION_MATCHES) / _DESCRIPTION_MATCHES
    return _NAME_WEIGHT * in_name + _DESCRIPTION_WEIGHT * in_description


def _call(tool: Tool, said: str, *, complete: bool) -> Call | None:
    """The call with what values there are. ``complete`` gives none when a required one is missing."""
    values = _Values(tool, said)
    arguments: dict[str, Any] = {}
    required = tool.parameters.get("required", ())
    for name, schema in _in_order(tool):
        value = values.take(name, schema, required=name in required)
        if value is not None:
            arguments[name] = value
    if complete and any(name not in arguments for name in required):
        return None
    return Call(tool.name, json.dumps(arguments, ensure_ascii=False))


def _properties(tool: Tool) -> dict[str, Mapping[str, Any]]:
    properties = tool.parameters.get("properties")
    if not isinstance(properties, dict):
        return {}
    return {name: schema for name, schema in properties.items() if isinstance(schema, dict)}


def _in_order(tool: Tool) -> list[tuple[str, Mapping[str, Any]]]:
    """Required parameters first: they have the first choice of the values."""
    required = tool.parameters.get("required", ())
    return sorted(_properties(tool).items(), key=lambda item: item[0] not in required)


class _Values:
    """What was said, as values to be taken one after the other."""

    def __init__(self, tool: Tool, said: str) -> None:
        self._said = said
        self._numbers = list(_numbers(said))
        self._phrases = [(match[1].lower(), value) for match in _PHRASE.finditer(said) if (value := _plain(match[2]))]
        self._own_words = set(_stems(f"{_spaced(tool.name)} {tool.description}"))
        for schema in _properties(tool).values():
            self._own_words |= {stem for choice in schema.get("enum", ()) for stem in _stems(_spaced(str(choice)))}

    def take(self, name: str, schema: Mapping[str, Any], *, required: bool) -> Any:
        """A value for the parameter, or None."""
        if "enum" in schema:
            return self._choice(schema["enum"])
        kind = schema.get("type", "string")
        if isinstance(kind, list):
            kind = next((each for each in kind if each != "null"), "string")
        if kind in ("integer", "number"):
            return self._number(whole=kind == "integer")
        if kind == "boolean":
            mentioned = set(_stems(_spaced(name))) & set(_stems(self._said))
            return _NEGATION.search(self._said) is None if mentioned or required else None
        if kind != "string" or "date" in schema.get("format", "") or _TIME_NAME.search(name):
            return None
        return self._phrase(name) or (self._rest() if required else None)

    def _choice(self, choices: Iterable[Any]) -> Any:
        said = set(_words(self._said))
        stems = set(map(_stem, said))
        for choice in choices:
            words = _words(_spaced(str(choice)))
            if words and all(word in said or _stem(word) in stems for word in words):
                return choice
        return None

    def _number(self, *, whole: bool) -> float | int | None:
        for index, value in enumerate(self._numbers):
            if not whole or value == int(value):
                del self._numbers[index]
                return int(value) if value == int(value) else value
        return None

    def _phrase(self, name: str) -> str | None:
        hints = [_HINTS.get(word, word) for word in _words(_spaced(name))]
        wanted = [hint for hint in hints if hint in ("from", "to")]
        for phrase in self._phrases:
            fits = phrase[0] in wanted if wanted else True
            if fits and not set(_stems(phrase[1])) <= self._own_words:
                self._phrases.remove(phrase)
                return phrase[1]
        return None

    def _rest(self) -> str | None:
        """The words that the function's name and description do not account for."""
        known = self._own_words
        kept = [
            word
            for word in re.findall(r"[\w'’.-]*\w", _WHEN.sub(" ", self._said))
            if word.lower() not in _NO_CONTENT and _stem(word.lower()) not in known and not _REQUEST.match(word)
        ]
        return " ".join(kept) or None


def _plain(phrase: str) -> str:
    return _ARTICLE.sub("", " ".join(_WHEN.sub(" ", phrase).split())).strip(" .'\"")


def _numbers(said: str) -> Iterator[float]:
    """The numbers in a text, in digits or in English words below a thousand."""
    pending: int | None = None
    for word in re.findall(r"-?\d+(?:\.\d+)?|[a-z]+", re.sub(r"(?<=\d),(?=\d{3})", "", said.lower())):
        if word in _NUMBER_WORDS:
            pending = (pending or 0) + _NUMBER_WORDS[word]
        elif word == "hundred" and pending:
            pending *= 100
        elif pending is None or word != "and":
            if pending is not None:
                yield float(pending)
                pending = None
            if word[-1].isdigit():
                yield float(word)
    if pending is not None:
        yield float(pending)


def _spaced(name: str) -> str:
    """An identifier as words: "get_weather", "getWeather" and "get-weather" are all "get weather"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]+", " ", name).lower()


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", re.sub(r"['’]s\b", "", text.lower()))


def _stems(text: str) -> list[str]:
    return [_stem(word) for word in _words(text) if word not in _NO_CONTENT]


def _stem(word: str) -> str:
    """Enough of a word to know its other forms by: "ordering", "ordered" and "orders" are all "order"."""
    for ending, replacement in (("ies", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith("ss"):
            word = word[: -len(ending)] + replacement
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "aeiouls":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def was_stopped(output: str) -> bool:
    """The function was not run to its end, since the user spoke: there is nothing to say of it."""
    try:
        value = json.loads(output)
    except ValueError:
        return False
    return isinstance(value, dict) and set(value) == {"cancelled"}


def spoken_result(output: str) -> str:
    """What a function returned, as something to say: JSON as plain sentences, any other text as it is."""
    try:
        value = json.loads(output)
    except ValueError:
        return output.strip() or "That is done."
    return _sentence_of(value)


def _sentence_of(value: Any) -> str:
    if value is None or value in ("", [], {}) or value is True:
        return "That is done."
    if value is False:
        return "I am sorry, that did not work."
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return f"The result is {_phrase_of(value)}."
    if value.get("error"):
        return f"I am sorry, that did not work. {_phrase_of(value['error'])}."
    facts = list(_facts(value))
    if not facts:
        return "That is done."
    return f"The {_joined(facts[:_MOST_FACTS], ', and the ', ', the ')}."


def _facts(value: Mapping[str, Any]) -> Iterator[str]:
    """Each as "temperature is 21"."""
    for name, part in value.items():
        if part is None or part in ("", [], {}) or name in ("error", "ok", "success"):
            continue
        if isinstance(part, dict):
            yield from (f"{_spaced(name)} {fact}" for fact in _facts(part))
        else:
            verb = "are" if isinstance(part, list) and len(part) > 1 else "is"
            yield f"{_spaced(name)} {verb} {_phrase_of(part)}"


def _phrase_of(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return _joined([_phrase_of(part) for part in value], " and ", ", ")
    if isinstance(value, dict):
        return ", ".join(_facts(value))
    return str(value).strip().rstrip(".")


def _joined(parts: Sequence[str], last: str, other: str) -> str:
    return last.join([other.join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
