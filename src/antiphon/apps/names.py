"""The names of engines in options that take several."""

from __future__ import annotations

import re
from collections.abc import Iterable


def names_in(values: Iterable[str]) -> tuple[str, ...]:
    """The names in options that may be repeated and have commas between names, each once.

    The commas within ``scripted:key=value,key=value`` belong to the name.
    """
    names: list[str] = []
    for value in values:
        for part in filter(None, (part.strip() for part in value.split(","))):
            if re.fullmatch(r"\w+=[^:/]*", part) and names and names[-1].startswith("scripted:"):
                names[-1] += f",{part}"
            else:
                names.append(part)
    return tuple(dict.fromkeys(names))
