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
    """What was heard: mono s16, and when it began on the page's clock, in ms."""

    pcm: bytes
    rate_hz: int
    started_at: float

    def between(self, from_ms: float, to_ms: float) -> Recording:
        """The part of it between two times of the page's clock."""
        end_ms = self.started_at + len(self.pcm) / 2 * 1000 / self.rate_hz
        times = (from_ms, min(to_ms, end_ms))
        first, last = (max(0, int((at - self.started_at) * self.rate_hz / 1000)) for at in times)
        start = self.started_at + first * 1000 / self.rate_hz
        return Recording(self.pcm[2 * first : 2 * last], self.rate_hz, start)

    def sounds(self) -> tuple[float, float]:
        """When its first and its last sound were heard, in ms on the page's clock."""
        loud = np.flatnonzero(np.abs(samples_of(self.pcm).astype(np.int32)) > AUDIBLE)
        assert len(loud), "nothing was heard"
        first, last = (self.started_at + place * 1000 / self.rate_hz for place in (loud[0], loud[-1]))
        return first, last

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
                who: entry.querySelector('.who').textContent,
            }))"""
        )

    async def events(self, *types: str) -> list[dict[str, Any]]:
        return await self.page.evaluate("types => tap.events.filter(({type}) => types.includes(type))", list(types))  # type: ignore[no-any-return]

    async def recording(self) -> Recording:
        told = await self.page.evaluate("tapped()")
        return Recording(base64.b64decode(told["pcm"]), WIRE_PCM_RATE_HZ, told["startedAt"])

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
