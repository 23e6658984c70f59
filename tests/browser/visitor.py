"""A person at a browser: Chromium with a microphone that plays a file, and ears that record."""

from __future__ import annotations

import base64
import os
import shutil
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from playwright.async_api import Browser, ConsoleMessage, Error, Page, Route, async_playwright

from antiphon.audio import MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ, resample, samples_of

HERE = Path(__file__).parent / "page"
NODE_MODULES = Path(__file__).parents[1] / "e2e" / "node" / "node_modules"
AXE = NODE_MODULES / "axe-core" / "axe.min.js"
PATIENCE_MS = 30_000
CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=user-gesture-required",
)
ALLOWED = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")

AUDIBLE = 200
PIECE_MS = 20
GAP_MS = 10

NO_MICROPHONE = """
if (navigator.mediaDevices) {
  navigator.mediaDevices.getUserMedia = async () => { throw new DOMException("", "NotFoundError"); };
}
"""


def chromium() -> str:
    """The browser's path. Without one these tests are skipped, but not where everything must be tried."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CANDIDATES)), None)
    if found is None:
        reason = "no Chromium: install it (Debian: apt-get install chromium), or give its path as CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def microphone_file(path: Path, parts: Sequence[bytes | float]) -> Path:
    """Writes what is said and for how many seconds nothing is, one after the other. Speech is mono s16 at 24 kHz."""
    pcm = b"".join(part if isinstance(part, bytes) else bytes(2 * int(part * WIRE_PCM_RATE_HZ)) for part in parts)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(MOUTH_RATE_HZ)
        file.writeframes(resample(pcm, WIRE_PCM_RATE_HZ, MOUTH_RATE_HZ))
    return path


@dataclass(frozen=True, slots=True)
class Recording:
    """What was heard: mono s16 from sample ``first`` of all that was recorded.

    ``began_ms`` is when each piece of ``PIECE_MS`` of it all began, on the page's clock. The two clocks part: where the
    browser has no time to make sound, none is recorded.
    """

    pcm: bytes
    rate_hz: int
    began_ms: np.ndarray[tuple[int], np.dtype[np.float64]]
    first: int = 0

    @classmethod
    def of(cls, pcm: bytes, rate_hz: int, arrivals_ms: Sequence[float]) -> Recording:
        """``arrivals_ms``: when each piece was there, which is never before its end, and may be later."""
        lags = np.array(arrivals_ms) - PIECE_MS * np.arange(1, len(arrivals_ms) + 1)
        least = np.minimum.accumulate(lags[::-1])[::-1]  # sound is lost, never gained: no lag is above a later one
        return cls(pcm, rate_hz, least + PIECE_MS * np.arange(len(arrivals_ms)))

    def _time(self, sample: int) -> float:
        piece, within = divmod(self.first + sample, self.rate_hz * PIECE_MS // 1000)
        return float(self.began_ms[piece]) + within * 1000 / self.rate_hz

    def _sample(self, at_ms: float) -> int:
        piece = max(0, int(np.searchsorted(self.began_ms, at_ms, side="right")) - 1)
        within_ms = min(max(0.0, at_ms - float(self.began_ms[piece])), PIECE_MS)
        return int((piece * PIECE_MS + within_ms) * self.rate_hz / 1000) - self.first

    def between(self, from_ms: float, to_ms: float) -> Recording:
        """The part of it between two times of the page's clock."""
        start, end = max(0, self._sample(from_ms)), max(0, self._sample(to_ms))
        return Recording(self.pcm[2 * start : 2 * end], self.rate_hz, self.began_ms, self.first + start)

    def _sounding(self) -> tuple[int, int]:
        loud = np.flatnonzero(np.abs(samples_of(self.pcm).astype(np.int32)) > AUDIBLE)
        assert len(loud), "nothing was heard"
        return int(loud[0]), int(loud[-1])

    def sounds(self) -> tuple[float, float]:
        """When its first and its last sound were heard, in ms on the page's clock."""
        first, last = self._sounding()
        return self._time(first), self._time(last)

    def played_ms(self) -> float:
        """How much was played from the first sound to the last, without the gaps."""
        first, last = self._sounding()
        inner = Recording(self.pcm[2 * first : 2 * last], self.rate_hz, self.began_ms, self.first + first)
        return (last - first) * 1000 / self.rate_hz - inner.gaps_ms()

    def gaps_ms(self) -> float:
        """How long nothing at all was played, as when audio comes late: speech itself is never so silent."""
        silent = np.flatnonzero(samples_of(self.pcm) == 0)
        runs = np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1)
        longest = self.rate_hz * GAP_MS / 1000
        return sum(len(run) for run in runs if len(run) > longest) * 1000 / self.rate_hz


class Visit:
    """One open page. What it complains of is noted: ``errors`` must be empty in the end."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    async def until(self, condition: str, argument: Any = None) -> None:
        """Waits for a JavaScript expression, in which ``argument`` may stand; tells how the page looked in the end."""
        try:
            await self.page.wait_for_function(f"(argument) => {condition}", arg=argument, timeout=PATIENCE_MS)
        except Error as error:
            raise AssertionError(f"{condition} never came: {await self.look()}\n{self.errors}") from error

    async def by_key(self) -> None:
        """Begins a conversation with push-to-talk: the space bar is the key."""
        await self.page.click("#open-settings")
        await self.page.get_by_label("Push to talk").check()
        await self.page.keyboard.press("Escape")
        await self.page.click("#control")
        await self.phase("ready")
        await self.page.focus("#control")

    async def event(self, kind: str) -> None:
        """Waits for the server's first event of a type."""
        await self.until("tap.events.some(({type}) => type === argument)", kind)

    async def look(self) -> str:
        """What a person sees, in words."""
        phase = await self.page.evaluate("document.body.dataset.phase")
        return f"[{phase}] {await self.page.inner_text('body')}"

    async def phase(self, *wanted: str) -> None:
        await self.until("argument.includes(document.body.dataset.phase)", list(wanted))

    async def answers(self, count: int) -> None:
        """Waits until so many answers are over."""
        await self.until("tap.events.filter(({type}) => type === 'response.done').length >= argument", count)

    async def entries(self) -> list[dict[str, Any]]:
        """What was said, as it is shown: who, the words that were heard, those that never were."""
        return await self.page.evaluate(  # type: ignore[no-any-return]
            """() => [...document.querySelectorAll('.entry')].map((entry) => ({
                role: entry.dataset.role,
                text: entry.querySelector('.words').textContent,
                heard: entry.querySelector('.heard')?.textContent ?? '',
                coming: entry.querySelector('.coming')?.textContent ?? '',
                never: entry.querySelector('.never')?.textContent ?? '',
                who: entry.querySelector('.who')?.textContent ?? '',
            }))"""
        )

    async def events(self, *types: str) -> list[dict[str, Any]]:
        return await self.page.evaluate("types => tap.events.filter(({type}) => types.includes(type))", list(types))  # type: ignore[no-any-return]

    async def recording(self) -> Recording:
        told = await self.page.evaluate("tapped()")
        return Recording.of(base64.b64decode(told["pcm"]), WIRE_PCM_RATE_HZ, told["arrivals"])

    async def violations(self) -> list[str]:
        """What axe finds wrong for people with impairments."""
        await self.page.evaluate(AXE.read_text())
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [f"{each['id']}: {node['html']}" for each in found["violations"] for node in each["nodes"]]


Routes = Mapping[str, Callable[[Route], Awaitable[None]]]


class Chromium:
    def __init__(self, browser: Browser, *, microphone: bool) -> None:
        self._browser = browser
        self._microphone = microphone

    async def visit(self, url: str, *, routes: Routes | None = None, **options: Any) -> Visit:
        """Opens a page on a clean profile. ``options`` are those of a browser context of Playwright.

        What ``routes`` name by their addresses does not come from the server.
        """
        context = await self._browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        await context.add_init_script(path=HERE / "tap.js")
        if not self._microphone:  # whatever this machine has
            missing = (
                "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }"
            )
            await context.add_init_script(f"if (navigator.mediaDevices) {missing}")
        for address, fulfil in (routes or {}).items():
            await context.route(address, fulfil)
        visit = Visit(await context.new_page())
        await visit.page.goto(url)
        return visit


Microphone = Path | Literal["none", "refused"]


@asynccontextmanager
async def browsing(microphone: Microphone = "none", *flags: str) -> AsyncIterator[Chromium]:
    """A browser whose microphone plays a file once; that has none; or whose user refuses it."""
    chosen = [*FLAGS, *flags]
    if isinstance(microphone, Path):
        chosen += [*ALLOWED, f"--use-file-for-fake-audio-capture={microphone}%noloop"]
    elif microphone == "refused":
        chosen += ["--use-fake-device-for-media-stream", "--deny-permission-prompts"]
    else:
        chosen += ["--use-fake-ui-for-media-stream"]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=chosen)
        try:
            yield Chromium(browser, microphone=microphone != "none")
        finally:
            await browser.close()
