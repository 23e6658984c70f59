"""The A.L.I.C.E. patterns (python-aiml) as a pure function: a sentence and what is known in, a reply and more out.

The interpreter of python-aiml may run shell commands, read further files and use the global random numbers. This one
does none of that, and its loaded patterns take a third of the memory: equal subtrees are kept once.
"""

# ruff: noqa: N802, N803 - methods and parameters that override python-aiml's have its names

from __future__ import annotations

import gc
import hashlib
import marshal
import os
import random
import re
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiml import Kernel
from aiml.PatternMgr import PatternMgr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Knowledge = dict[str, Any]
"""The predicates of a conversation ("name": "Sam"), python-aiml's histories among them. Never changed in place."""

_FORMAT = "antiphon-aiml-1"
"""Part of a cache file's key: to be changed when what is kept in it changes."""

_SESSION = "conversation"
_DEEPEST_RECURSION = 40
"""Reductions within reductions. Patterns loop on some inputs; python-aiml's own 100 would exhaust Python's stack."""
_LONGEST_SENTENCE_WORDS = 40
"""Matching takes a stack frame for each word."""
_BLOCK_TAGS = frozenset({"br", "BR", "p", "ul", "li"})
_WORD_TAGS = frozenset({"get", "person", "person2", "set", "sr", "srai", "star"})
"""They stand for words. Many patterns have no space between one and the words beside it."""

Elements = list[Any]
"""python-aiml's parsed element: its tag, its attributes, its children."""


class AimlKernel(Kernel):  # type: ignore[misc]
    """A python-aiml interpreter without side effects. Not thread-safe."""

    def __init__(self, bot: dict[str, str]) -> None:
        """``bot`` are the facts about the speaker, one for each ``<bot name="..."/>`` in the patterns."""
        super().__init__()
        self.verbose(False)
        self._maxRecursionDepth = _DEEPEST_RECURSION
        self._random = random.Random()
        self._elementProcessors.update(dict.fromkeys(("system", "learn", "javascript"), self._nothing))
        for name, value in bot.items():
            self.setBotPredicate(name, value)

    def answer(self, sentence: str, known: Knowledge, seed: int) -> tuple[str, Knowledge]:
        """The reply to one sentence ("" when no pattern has one) and what is known after it.

        The same arguments give the same reply, but for the patterns that tell the time.
        """
        self._random.seed(seed)
        after = {key: list(value) if isinstance(value, list) else value for key, value in known.items()}
        inputs: list[str] = after.setdefault(self._inputHistory, [])
        outputs: list[str] = after.setdefault(self._outputHistory, [])
        after[self._inputStack] = []
        inputs.append(" ".join(sentence.split()[:_LONGEST_SENTENCE_WORDS]))
        self._sessions[_SESSION] = after
        try:
            reply: str = self._respond(inputs[-1], _SESSION)
        except RecursionError:
            reply = ""
        finally:
            del self._sessions[_SESSION]
        outputs.append(reply)
        del inputs[: -self._maxHistorySize], outputs[: -self._maxHistorySize], after[self._inputStack]
        return reply, after

    def with_last_reply(self, known: Knowledge, reply: str) -> Knowledge:
        """The same knowledge, had the last reply been ``reply``: patterns that follow it up match what was said."""
        return {**known, self._outputHistory: [*known.get(self._outputHistory, [])[:-1], reply]}

    # What python-aiml calls for each element. Its own ones of the same names are replaced.

    def _processElement(self, elem: Elements, sessionID: str) -> str:
        handler = self._elementProcessors.get(elem[0])
        if handler is not None:
            text: str = handler(elem, sessionID)
            return f" {text} " if text and elem[0] in _WORD_TAGS else text
        # HTML and misspelt tags: what is in them is said, and a break is at least a space.
        gap = " " if elem[0] in _BLOCK_TAGS else ""
        return gap + self._children(elem, sessionID) + gap

    def _children(self, elem: Elements, sessionID: str) -> str:
        return "".join([self._processElement(child, sessionID) for child in elem[2:]])

    def _processText(self, elem: Elements, sessionID: str) -> str:
        """python-aiml's own writes into the element, which may be shared here."""
        return re.sub(r"\s+", " ", elem[2])

    def _processRandom(self, elem: Elements, sessionID: str) -> str:
        choices = [child for child in elem[2:] if child[0] == "li"]
        return self._processElement(self._random.choice(choices), sessionID) if choices else ""

    def _processCondition(self, elem: Elements, sessionID: str) -> str:
        """AIML 1.0.1, section 7.1.4: the first branch whose predicate has its value; "*" is any value."""
        attributes = elem[1]
        if "name" in attributes and "value" in attributes:
            fits = self._fits(attributes["name"], attributes["value"], sessionID)
            return self._children(elem, sessionID) if fits else ""
        for branch in (child for child in elem[2:] if child[0] == "li"):
            name = branch[1].get("name", attributes.get("name", ""))
            if "value" not in branch[1] or self._fits(name, branch[1]["value"], sessionID):
                return self._children(branch, sessionID)
        return ""

    def _fits(self, predicate: str, wanted: str, sessionID: str) -> bool:
        value = str(self.getPredicate(predicate, sessionID)).strip()
        return bool(value) if wanted == "*" else value.lower() == wanted.lower()

    def _processDate(self, elem: Elements, sessionID: str) -> str:
        form = elem[1].get("format", "%A, %B %d, %Y, %I:%M %p").replace("%x", "%A, %B %d, %Y")
        return re.sub(r"\b0(\d)", r"\1", time.strftime(form).replace(":0", ":\0")).replace("\0", "0")

    def _processId(self, elem: Elements, sessionID: str) -> str:
        return "unknown to me"

    def _processSize(self, elem: Elements, sessionID: str) -> str:
        return str(self.getBotPredicate("size"))

    def _nothing(self, _elem: Elements, _session: str) -> str:
        """For elements that would touch the machine, or run code."""
        return ""


def load_kernel(
    files: Sequence[Path], bot: dict[str, str], cache_folder: Path | None
) -> tuple[AimlKernel, OSError | None]:
    """A kernel with the patterns of ``files``, later ones winning, from the cache when it is there and whole.

    Takes 0.2 s from the cache and some 4 s without, so call it in a thread. The error is that of writing the cache,
    which costs the next start its time and nothing else. Raises OSError when a file of patterns cannot be read.
    """
    kernel = AimlKernel(bot)
    cached = cache_folder / f"alice-{_key(files)}.patterns" if cache_folder else None
    unwritten: OSError | None = None
    with _no_collection():
        payload = _read(cached) if cached else None
        if payload is None:
            payload = _learnt(files)
            try:
                if cached:
                    _write(cached, payload)
            except OSError as error:
                unwritten = error
        kernel._brain._root = marshal.loads(payload)
    return kernel, unwritten


def _learnt(files: Sequence[Path]) -> bytes:
    """The patterns as bytes: what learning needed, 400 MB, is given back before they are made objects again."""
    learner = AimlKernel({})
    for file in files:
        with file.open("rb"):  # learn() passes over files that it cannot find
            learner.learn(str(file))
    return marshal.dumps(_Once().node(learner._brain._root))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Building a million live objects makes the cyclic collector ten times the work of building them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _key(files: Sequence[Path]) -> str:
    parts = [_FORMAT, version("python-aiml"), sys.implementation.cache_tag or "", str(marshal.version)]
    parts += [f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _read(path: Path) -> bytes | None:
    """The payload of the file; None when it is not there or not whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, payload = data[:32], data[32:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def _write(path: Path, payload: bytes) -> None:
    """Whole or not at all, also when two processes start at once. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=path.name, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(payload).digest() + payload)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


class _Once:
    """Equal templates, words and subtrees as one object each: 80 MB in place of 240 for the whole set."""

    def __init__(self) -> None:
        self._known: dict[Any, Any] = {}

    def node(self, branches: dict[Any, Any]) -> dict[Any, Any]:
        """A node of the pattern tree: words (or python-aiml's numbers for stars and the like) to nodes or templates."""
        same = {
            self._known.setdefault(key, key): self._element(value) if key == PatternMgr._TEMPLATE else self.node(value)
            for key, value in branches.items()
        }
        kept: dict[Any, Any] = self._known.setdefault(tuple((key, id(value)) for key, value in same.items()), same)
        return kept

    def _element(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._known.setdefault(value, value)
        if isinstance(value, dict):
            return self._known.setdefault(("attributes", *sorted(value.items())), value)
        children = [self._element(child) for child in value]
        return self._known.setdefault(("element", *map(id, children)), children)
