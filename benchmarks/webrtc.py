"""Response latency over WebRTC against the WebSocket's, on loopback: the same server, the same questions, by turns.

Counted from the true end of the user's speech to the first audible sample that has come. The caller of the call hears
with our own ear; what the codec adds is in it, what a browser's speaker adds is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import uvloop

from antiphon.apps.selftest.caller import Utterance
from antiphon.apps.server_process import local_server
from antiphon.session.pacer import Pacer
from benchmarks.conversation import Turn, ask, calling, is_turn_timing, spoken_questions
from benchmarks.tables import arguments, save, show, spread
from benchmarks.webrtc_phone import Phone, dialled

STATED = (
    *("--llm", "scripted:first_token_ms=50,token_ms=20,tokens=12"),
    *("--tts", "scripted:first_audio_ms=40,speed=10"),
)
"""The ear stays real: the scripted recognizer's tones do not survive Opus."""
EMBEDDED = ("--llm", "alice")
STAGES = ("end_of_turn_ms", "recognizer_ms", "brain_ms", "voice_ms", "server_ms", "response_ms")
PAUSE_S = 0.3
"""Between an answer and the next question."""
ENGINES = ("recognizer_ms", "brain_ms", "voice_ms")

Figures = dict[str, dict[str, float]]


async def ask_by_phone(phone: Phone, question: Utterance) -> Turn:
    phone.pieces.clear()
    said = await phone.say(question)
    heard = await phone.answer(said)
    if heard.first_audible_at is None:
        raise RuntimeError(f"no audible answer to {question.text!r}")
    timing = await phone.journal.expect(is_turn_timing, timeout_s=5, since=said.mark, name="the turn's figures")
    figures = {name: float(value) for name, value in timing.child("figures").items()}
    return Turn((heard.first_audible_at - said.end_at) * 1000, figures)


async def measure(server: Sequence[str], questions: Sequence[Utterance], rounds: int) -> tuple[list[Turn], list[Turn]]:
    """The turns over the WebSocket, and over WebRTC."""
    by_socket, by_call = list[Turn](), list[Turn]()
    async with local_server(server) as running, calling(running.url) as caller, dialled(running.url, Pacer()) as phone:
        for _ in range(rounds):
            for question in questions:
                by_socket.append(await ask(caller, question))
                await asyncio.sleep(PAUSE_S)
                by_call.append(await ask_by_phone(phone, question))
                await asyncio.sleep(PAUSE_S)
    return by_socket, by_call


def _without_engines(turn: Turn) -> float:
    """The silence that ends a turn, and the way of the audio: what does not hang on how busy the engines are."""
    return turn.response_ms - sum(turn.figures[stage] for stage in ENGINES)


def report(name: str, by_socket: Sequence[Turn], by_call: Sequence[Turn]) -> Figures:
    figures: Figures = {}
    for way, turns in (("WebSocket", by_socket), ("WebRTC", by_call)):
        figures[f"{way}, on the audio"] = spread([turn.response_ms for turn in turns])
        figures[f"{way}, without the engines' time"] = spread([_without_engines(turn) for turn in turns])
        for stage in STAGES:
            figures[f"{way}, server's {stage}"] = spread([turn.figures[stage] for turn in turns])
    more = [call.response_ms - socket.response_ms for socket, call in zip(by_socket, by_call, strict=True)]
    figures["WebRTC's more, turn by turn"] = spread(more)
    rows = [(stage, *values.values()) for stage, values in figures.items()]
    show(f"Response latency in ms, {name}", ("", "p50", "p95", "p99", "max", "turns"), rows)
    return figures


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--questions", type=int, default=10, help="so many of the ten questions are asked")
    parser.add_argument("--rounds", type=int, default=1, help="how often each")
    options = parser.parse_args()
    questions = (await spoken_questions())[: options.questions]
    stated = await measure(STATED, questions, options.rounds)
    embedded = await measure(EMBEDDED, questions, options.rounds)
    figures = {
        "stated": report(f"brain and voice of stated times ({' '.join(STATED)})", *stated),
        "embedded": report("embedded engines", *embedded),
    }
    save(options.json, figures)
    for name, each in figures.items():
        for what in ("on the audio", "without the engines' time"):
            more_ms = each[f"WebRTC, {what}"]["p50"] - each[f"WebSocket, {what}"]["p50"]
            print(f"{name}, {what}: the median over WebRTC is {more_ms:+.1f} ms from the WebSocket's")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
