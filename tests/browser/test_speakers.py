"""Who speaks, on the page: two real voices at one microphone."""

from __future__ import annotations

from pathlib import Path

from tests.browser.visitor import browsing, microphone_file
from tests.e2e.test_speakers import cut

from antiphon.apps.config import Config
from antiphon.apps.server import Server

NAMED = "[...document.querySelectorAll('.entry[data-role=user] > .who')].map((who) => who.textContent).join()"


async def test_the_captions_say_whose_words_they_are(tmp_path: Path) -> None:
    file = microphone_file(
        tmp_path / "two.wav",
        [1.0, cut("endgame_nagg_nell", 4.6, 8.1), 4.0, cut("endgame_nagg_nell", 14.5, 17.1), 6.0],
    )
    config = Config(
        port=0, in_process=True, llm="scripted:tokens=2", tts="scripted", speakers="on", enrolments=tmp_path / "none"
    )
    async with Server(config) as server, browsing(file) as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket")
        await visit.page.click("#control")
        # The second one rests in the middle, which may end a turn.
        await visit.until(f"/^Speaker 1(,Speaker 2)+$/.test({NAMED})")
        assert await visit.violations() == []
        entries = [entry["text"] for entry in await visit.entries() if entry["role"] == "user"]
        assert all(len(text) > 5 for text in entries)
        assert visit.errors == []
