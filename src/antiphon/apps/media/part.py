"""What distinguishes the server of a media process from one that people reach."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from aiohttp import web

from antiphon.apps.composition import Engines
from antiphon.apps.media.assignment import Assignment
from antiphon.apps.media.link import Link
from antiphon.apps.metrics import Metrics
from antiphon.apps.standing import News
from antiphon.core.carriers import Mark
from antiphon.transport.access import Access, AccessElsewhere
from antiphon.transport.names import Names
from antiphon.transport.realtime.secrets import SecretStore

_HEADER_BYTES = 8190
"""aiohttp's own limit."""

_GRANT_BYTES = 2 * 1024 * 1024
"""The session of a client secret comes as a header. The secret was made by a request of 1 MiB at most."""

_INSTANCE_BYTES = 4


@dataclass(frozen=True, slots=True)
class Part:
    access: Access | None = None
    """None for that of the configuration."""
    names: Names = field(default_factory=Names)
    routes: Sequence[web.RouteDef] = ()
    max_header_bytes: int = _HEADER_BYTES


def part_of(assignment: Assignment | None, metrics: Metrics, engines: Engines, news: News) -> Part:
    """None is for a server that people reach."""
    if assignment is None:
        return Part()
    mark = Mark(assignment.number, secrets.token_hex(_INSTANCE_BYTES))
    clock = asyncio.get_running_loop().time
    link = Link(
        mark,
        busy=lambda: metrics.admission.expected(clock()),
        appoint=engines.appoint,
        stands=news.take,
        ask=engines.ask,
    )
    access = AccessElsewhere((), frozenset(), SecretStore())
    return Part(access, Names(mark), link.routes(), _GRANT_BYTES)
