"""From the names of synthesizers to what speaks: their voices, those of the packs, and all of them equally loud."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import structlog

from antiphon.engines.base import Synthesizer
from antiphon.engines.catalog import make_one_synthesizer, synthesizer_names
from antiphon.engines.levelled import LevelledSynthesizer
from antiphon.engines.pack_folder import Packs, read_packs
from antiphon.engines.packed import PackedSynthesizer
from antiphon.engines.torch_device import AUTO
from antiphon.engines.voice_pack import TakesPacks
from antiphon.engines.voices import MultiSynthesizer
from antiphon.errors import ConfigError
from antiphon.loudness import TARGET_LUFS

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Voicing:
    """What is done with the voices of every engine.

    ``packs``: the folder of voice packs; None for none. ``loudness_lufs``: what they are brought to; None to leave each
    as loud as it is. ``device``: where engines that can choose run.
    """

    packs: Path | None = None
    loudness_lufs: float | None = TARGET_LUFS
    device: str = AUTO

    def read(self) -> Packs:
        """The packs that there are now. It reads small files."""
        return Packs() if self.packs is None else read_packs(self.packs)

    def one(self, name: str, packs: Packs, *, for_packs_alone: bool = False) -> Synthesizer:
        """The synthesizer of one engine, not loaded. Raises ConfigError for an engine or a voice that there is not."""
        engine = make_one_synthesizer(name, self.device)
        if isinstance(engine, TakesPacks):
            family = name.partition(":")[0]
            engine = PackedSynthesizer(
                engine, packs.of(family), lambda: self.read().of(family), for_packs_alone=for_packs_alone
            )
        speaks = not engine.voices or any(voice.is_speech for voice in engine.voices)
        return LevelledSynthesizer(engine, self.loudness_lufs) if speaks and self.loudness_lufs is not None else engine

    def more(self, names: Iterable[str], packs: Packs) -> tuple[str, ...]:
        """The engines that have packs and are not among ``names``. What no engine will read is logged."""
        families = _families(names)
        for problem in packs.problems:
            if problem.pack.partition(":")[0] not in families | set(packs.families):
                _log.warning("voice_pack_not_used", pack=problem.pack, why=str(problem))
        found = []
        for family in packs.families:
            if family in families:
                continue
            if _takes_packs(family):
                found.append(family)
            else:
                _log.warning(
                    "voice_packs_of_no_engine", family=family, packs=[pack.id for pack in packs.of(family).packs]
                )
        return tuple(found)

    def unread(self, names: Iterable[str], packs: Packs) -> tuple[str, ...]:
        """What is wrong with packs that none of the engines called ``names`` reads: those tell of theirs themselves."""
        families = _families(names)
        return tuple(str(problem) for problem in packs.problems if problem.pack.partition(":")[0] not in families)

    def all(self, name: str) -> Synthesizer:
        """One with the voices of all engines in ``name``, and of all packs. Raises ConfigError as above."""
        names = synthesizer_names(name)
        if name.partition(":")[0] == "scripted":
            return self.one(name, Packs())
        packs = self.read()
        engines = [self.one(each, packs) for each in names]
        engines += [self.one(family, packs, for_packs_alone=True) for family in self.more(names, packs)]
        return MultiSynthesizer(engines)


def _families(names: Iterable[str]) -> set[str]:
    """Whose packs the engines read that are called so; "piper:amy" has one voice and reads none."""
    return {name.partition(":")[0] for name in names if _takes_packs(name)}


def _takes_packs(name: str) -> bool:
    try:
        return isinstance(make_one_synthesizer(name), TakesPacks)
    except ConfigError:
        return False
