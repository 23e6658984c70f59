"""Makes the sessions of a server: each with its engines, its agent, and what all sessions share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial

from antiphon.apps.agents import Staff
from antiphon.apps.composition import Engines
from antiphon.apps.config import Config
from antiphon.apps.memories import can_summarize, memory_of
from antiphon.apps.metrics import Metrics
from antiphon.apps.recordings import Recordings
from antiphon.apps.standing import News
from antiphon.core.settings import SessionSettings
from antiphon.core.speech_memory import SpeechMemory
from antiphon.engines.counted_brain import counted
from antiphon.session.identity import Speakers
from antiphon.session.keeping import Keeper
from antiphon.session.pacer import Pacer
from antiphon.session.session import Session
from antiphon.transport.base import Outlet
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.seat import Conversing

_MB = 1_000_000


@dataclass(slots=True)
class SessionMaker:
    """The ``SessionFactory`` of a server's gateway. Belongs to one event loop."""

    config: Config
    _: KW_ONLY
    engines: Engines
    staff: Staff
    metrics: Metrics
    news: News
    recordings: Recordings
    keeper: Keeper | None
    speakers: Speakers | None
    engines_offer: Callable[[], Offer]
    """What the engines offer, before the agents add to it."""
    pacer: Pacer = field(default_factory=Pacer)
    _speech_memory: SpeechMemory = field(init=False)

    def __post_init__(self) -> None:
        self._speech_memory = SpeechMemory(self.config.speech_cache_mb * _MB)
        self.metrics.watch_memory(self._speech_memory)

    def offer(self) -> Offer:
        return self.staff.offer(self.engines_offer())

    def __call__(self, outlet: Outlet, settings: SessionSettings, session_id: str) -> Conversing:
        offer = self.offer()
        recorder = self.recordings.recorder(session_id)
        suite = self.engines.of_session(session_id)
        self.news.subscribe(outlet)
        stay = self.engines.attending(suite, self.staff.first_reply(settings, offer))
        suite = replace(suite, brain=counted(suite.brain, self.metrics.tokens))
        notebook = self.keeper.notebook(session_id) if self.keeper is not None else None
        open_session = partial(
            Session,
            suite,
            meter=self.metrics,
            recorder=recorder,
            pacer=self.pacer,
            stay=stay,
            room_ahead=lambda: self.metrics.shedding.level,
            speakers=self.speakers,
            speech_memory=self._speech_memory,
            memory=memory_of(self.config, notebook),
            can_summarize=can_summarize,
            notebook=notebook,
        )
        note: Callable[[str], None] = notebook.in_charge if notebook is not None else lambda agent: None
        return self.staff.session(outlet, settings, session_id, open_session, offer, note=note)
