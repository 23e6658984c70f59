"""A session's outlet with somebody who listens in: what the session tells its client, the agent hears too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from antiphon.transport.base import Outlet

Hearer = Callable[..., bool | None]
"""Takes what a method of ``Outlet`` takes. Where it returns False, the client is not told."""


class _Overheard:
    def __init__(self, outlet: Outlet, hearers: Mapping[str, Hearer]) -> None:
        self._outlet = outlet
        self._hearers = hearers

    def __getattr__(self, name: str) -> Any:
        tell = getattr(self._outlet, name)
        hear = self._hearers.get(name) or self._hearers.get(f"{name.partition('_')[0]}_*")

        def both(*args: Any, **kwargs: Any) -> None:
            if hear is None or hear(*args, **kwargs) is not False:
                tell(*args, **kwargs)

        call = tell if hear is None else both
        self.__dict__[name] = call  # audio comes fifty times a second: it goes straight to the outlet
        return call


def overheard(outlet: Outlet, hearers: Mapping[str, Hearer]) -> Outlet:
    """Passes everything on to ``outlet``, and before that, to a hearer of the method's name. One of ``transcript_*``
    hears all methods whose names begin so, but for those that have another.
    """
    return cast(Outlet, _Overheard(outlet, hearers))
