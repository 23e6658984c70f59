"""Writes docs/ABLATIONS.md with its plots from the two ablations: `python -m benchmarks.ablations`.

They run on virtual time, so the page does not depend on the machine, but for a frame or so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import VAD_WINDOW_SAMPLES
from antiphon.sim.virtual_time import run_virtual
from benchmarks import ahead, first_words
from benchmarks.dialogues import DIALOGUES
from benchmarks.listening_ways import LISTENING, OPENING, OWN_MODEL
from benchmarks.stated_brain import PASS_TOKENS

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "antiphon"  # else each run names its parts anew
mpl.rcParams["svg.fonttype"] = "none"

from matplotlib import pyplot as plt  # noqa: E402  # after the choice of its backend

DOCS = Path(__file__).parent.parent / "docs"
_WINDOW_MS = VAD_WINDOW_SAMPLES * 1000 / EAR_RATE_HZ
_COLOURS = ("#8a8f98", "#c9a227", "#2f7fb8", "#58a55c", "#b85450", "#7b5ea7")


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    shown = [[f"{cell:.0f}" if isinstance(cell, float) and cell >= 10 else str(cell) for cell in row] for row in rows]
    lines = [columns, ["---"] * len(columns), *shown]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _bars(
    path: Path,
    title: str,
    ylabel: str,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    marks: str = "",
) -> None:
    """A group of bars for each of ``groups``, a bar of each series."""
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [group + (number - (len(series) - 1) / 2) * width for group in range(len(groups))]
        axes.bar(places, values, width * 0.92, label=name, color=_COLOURS[number % len(_COLOURS)])
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylabel(ylabel)
    axes.set_xlabel(marks)
    axes.set_title(title, loc="left", fontsize=11)
    axes.axhline(0, color="#444", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=6)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _plot_ahead(results: ahead.Results, ways: Sequence[ahead.Way]) -> None:
    groups = [f"{first} ms, {rate}/s" for first, rate in ahead.SPEEDS]
    marks = "time to the first token, tokens a second"
    for name, key, title in (
        ("response", "response_p50_ms", "From the user's last word to the first sound, median"),
        ("wasted", "wasted_tokens_a_turn", "Tokens in vain, a turn"),
    ):
        series = {way.name: [results[way.name, speed].row()[key] for speed in ahead.SPEEDS] for way in ways}
        unit = "ms" if name == "response" else "tokens"
        _bars(DOCS / f"ablation-{name}.svg", title, unit, groups, series, marks=marks)


def _plot_words(results: first_words.Results) -> None:
    voices = list(first_words.VOICES)
    short = [f"voice {number}" for number in range(1, len(voices) + 1)]
    for name, key, title in (
        ("first-sound", "first_sound_p50_ms", "From the request to the first sound, median"),
        ("silence", "silence_ms_an_answer", "Silence in the midst of an answer, where the voice was late"),
    ):
        series = {way: [results[voice, way].row()[key] for voice in voices] for way in first_words.WAYS}
        _bars(DOCS / f"ablation-{name}.svg", title, "ms", short, series, marks="as numbered in the table")


_PAGE = """# Ablations

What working ahead of the end of a turn brings, and what it costs; and what each of the ways brings in which text
reaches the voice. `python -m benchmarks.ablations` writes this page. Both run on virtual time with engines of stated
times, so the figures do not depend on the machine, but for a frame of 20 ms or so, and say nothing about how quick a
machine is.

## Working ahead

{dialogues} conversations of four turns each, {pauses} pauses of 260 to 440 ms in the midst of sentences, spoken by the
embedded voices and heard by the embedded voice activity detection and recognizer (its partials and finals come 60 ms
after their audio). A silence of {silence} ms ends a turn. The brain has the stated speed; the voice gives its first
audio after 80 ms and is five times as fast as speech. In the pauses the user goes on: what was begun there was a wrong
start, as is every run of the brain of which something was written and nothing used. The response counts from the true
end of the user's last word to the first sound of the answer that is heard; *audio ready* is when the voice's first
audio was there, which is before that where the answer had to wait for the end of the turn.

{ahead}

![Response](ablation-response.svg)

![Tokens in vain](ablation-wasted.svg)

{verdict}## From text to speech

Four answers of two sentences each, given {rounds} times in one conversation, by a brain that needs 200 ms to its first
token and writes 40 a second. Each way has what those above it have. *Silence* is what a listener hears in the midst of
an answer because the voice was late.

{words}

{voices}

![First sound](ablation-first-sound.svg)

![Silence in an answer](ablation-silence.svg)

Words early are for voices that take words (`takes_words`), and off for all others unless `word_start` is set to
`always`. None of the embedded voices does: the pitch of two words alone, as SVOX Pico and eSpeak NG say them, falls by
3.5 to 6 semitones against the same place in the whole sentence, as at a sentence's end. Where words early make the
first pieces shorter than the voice needs to bring the next one, several clauses at once close most of the gaps; a
repeated opening from memory sounds as soon as the text is there, and opens a part of them again.
"""


_LISTENING = """A listening brain reads the words while the user speaks, and what it wants to say is let out after
200 ms of silence. Two of them: one that says nothing while it has not heard the whole turn, an ideal judge; and an
eager one, which answers whatever it has heard as soon as wait-k lets it, and throws that away with each further word.
The last words of a turn are certain only with the recognizer's final, and each new word makes void what was written
before it: so both begin anew where plain work ahead begins, and what listening wins is the shorter silence, where the
brain and the voice are quick enough for that.

*Own model* is one in our own processes (`transformers:`, `mlx-lm:`), which reads what it has thrown away in one go, and
writes only what comes to differ. It is assumed that it reads {passed} tokens in the time in which it writes one, as
models do that wait for their weights and not for their arithmetic, and that an answer stays as it was when the user
says more: all of it, or no more than its first {opening} tokens. That is a matter of the model and of what is said, and
nothing here measures it: the rows say what each would bring. Models elsewhere write all of it again.

The turn that stays unanswered where an eager brain is quick is one of short breaks: "All right, then I will | rather
walk there." The brain answers in the break, sounds for less than a tenth of a second, and the user goes on over it; of
what comes then the recognizer makes no words. So the answer was interrupted, and there is nothing new to answer.

Against plain work ahead, with the same kind of model, by the median response, where a difference within one window of
the voice activity detection (32 ms) counts for nothing:

"""


def _verdict(results: ahead.Results, listening: Sequence[ahead.Way]) -> str:
    """Whether listening beats plain work ahead on latency, speed by speed, in words that follow from the figures."""
    if not listening:
        return ""
    told = []
    for way in listening:
        won = [speed for speed in ahead.SPEEDS if _won_ms(results, way, speed) > _WINDOW_MS]
        told.append(
            f"- {way.name}: {'beats' if won else 'does not beat'} it at {len(won)} of {len(ahead.SPEEDS)} speeds"
        )
    return _LISTENING.format(passed=PASS_TOKENS, opening=OPENING) + "\n".join(told) + "\n\n"


def _won_ms(results: ahead.Results, way: ahead.Way, speed: tuple[int, int]) -> float:
    """Against plain work ahead."""
    base = ahead.OWN_WORK_AHEAD if way.keeps else ahead.WORK_AHEAD
    return results[base.name, speed].row()["response_p50_ms"] - results[way.name, speed].row()["response_p50_ms"]


def main() -> int:
    ways = (*ahead.WAYS, ahead.OWN_WORK_AHEAD, *LISTENING, *OWN_MODEL)
    found = run_virtual(ahead.measure(ways, ahead.SPEEDS))
    words = run_virtual(first_words.measure(list(first_words.VOICES)))
    _plot_ahead(found, (*ahead.WAYS, LISTENING[0], LISTENING[3], OWN_MODEL[0]))
    _plot_words(words)
    numbers = {voice: number for number, voice in enumerate(first_words.VOICES, 1)}
    word_rows = [[numbers[voice], *row] for voice, *row in first_words.table_rows(words)]  # type: ignore[index]
    page = _PAGE.format(
        dialogues=len(DIALOGUES),
        pauses=sum(text.count("|") for texts in DIALOGUES for text in texts),
        silence=ahead.SILENCE_MS,
        ahead=_table(ahead.COLUMNS, ahead.table_rows(found)),
        verdict=_verdict(found, [way for way in ways if way.listens]),
        rounds=first_words.ROUNDS,
        words=_table(first_words.COLUMNS, word_rows),
        voices="\n".join(f"- voice {number} {voice}" for voice, number in numbers.items()),
    )
    (DOCS / "ABLATIONS.md").write_text(page, encoding="utf-8")
    print(f"wrote {DOCS / 'ABLATIONS.md'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
