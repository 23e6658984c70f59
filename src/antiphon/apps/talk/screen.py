"""Live captions in the terminal; plain lines where there is none."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from antiphon.apps.realtime_client import Arrival
from antiphon.apps.talk.trace import Trace
from antiphon.apps.talk.transcript import Line, Phase, Speaker, Transcript

_STYLES = {Speaker.USER: "bold cyan", Speaker.AGENT: "bold green", Speaker.MIND: "dim italic"}
_STATES = {
    "idle": "listening",
    "listening": "hearing you",
    "thinking": "thinking",
    "speaking": "speaking",
    "barged_in": "interrupted",
}
_REFRESH_PER_S = 8


def caption(line: Line, *, plain: bool = False) -> Text:
    """A line as it is shown: dim while it may change; what was cut is struck through, where ``plain`` in brackets."""
    text = Text()
    text.append(f"{line.name or line.speaker.value:>5}  ", _STYLES[line.speaker])
    body = line.text if line.heard is None else line.heard
    unsettled = line.phase is not Phase.SETTLED
    text.append(body.strip(), "dim italic" if line.speaker is Speaker.MIND else "dim" if unsettled else "")
    cut = line.unheard.strip()
    if cut:
        text.append(f" [cut: {cut}]" if plain else f" {cut}", "dim" if plain else "dim strike")
    return text


def _in_words(name: str) -> str:
    """A name as people read it: "lost property" of "lost_property"."""
    return name.replace("_", " ").replace("-", " ")


class Screen:
    """Shows a transcript. Settled lines scroll away above, those that may change stay below."""

    def __init__(self, transcript: Transcript, console: Console) -> None:
        self._transcript = transcript
        self._console = console
        self._agent = ""
        """Which of the server's agents answers, where it has some."""
        self._live = Live(console=console, refresh_per_second=_REFRESH_PER_S, transient=True)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._console.is_terminal:
            self._live.update("")
            self._live.stop()
        for line in self._transcript.settled(all_of_them=True):
            self._print(line)

    def say(self, message: str) -> None:
        """A line of our own."""
        self._console.print(message, style="dim", highlight=False, markup=False, soft_wrap=True)

    def _print(self, line: Line) -> None:
        plain = not self._console.is_terminal
        self._console.print(caption(line, plain=plain), highlight=False, soft_wrap=plain)

    def show(self, arrival: Arrival) -> None:
        """Something came from the server, which the transcript has read."""
        if arrival.kind == "error":
            self.say(f"the server said: {arrival.child('error').get('message')}")
        if arrival.kind != "response.output_audio.delta":
            self.refresh()
        match arrival.kind:
            case "antiphon.agent":
                before, self._agent = self._agent, arrival.text("agent")
                if before not in ("", self._agent):
                    self.say(f"       {_in_words(self._agent)} answers from here on")
            case "response.done" if arrival.child("response").get("status") == "failed":
                why = (arrival.child("response").get("status_details") or {}).get("error") or {}
                self.say(f"       the answer failed: {why.get('message') or 'the server does not say why'}")
            case "antiphon.tool" if arrival.text("status") not in ("running", "completed"):
                told = arrival.text("text") or arrival.text("status")
                self.say(f"       {_in_words(arrival.text('name'))}: {told}")

    def refresh(self) -> None:
        """Shows what has changed."""
        for line in self._transcript.settled():
            self._print(line)
        if self._console.is_terminal:
            state = _STATES.get(self._transcript.state or "", "connected")
            captions = [caption(line) for line in self._transcript.lines if line.text]
            self._live.update(Group(*captions, Text(f"       {state}", "dim italic")))


class TraceScreen:
    """Instead of captions, who does what: a line for each thing that happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._trace = Trace()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._print(self._trace.rest())

    def say(self, message: str) -> None:
        """A line of our own."""
        self._console.print(message, style="dim", highlight=False, markup=False, soft_wrap=True)

    def show(self, arrival: Arrival) -> None:
        self._print(self._trace.read(arrival))

    def _print(self, lines: list[str]) -> None:
        for line in lines:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
