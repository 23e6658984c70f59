"""@openai/agents-realtime, unmodified, over WebRTC in a browser: two turns by voice, and an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Route
from tests.browser.visitor import HERE, NODE_MODULES, browsing, microphone_file
from tests.e2e.conftest import Ask

BUNDLE = NODE_MODULES / "@openai" / "agents-realtime" / "dist" / "bundle"


async def fulfil(route: Route) -> None:
    """The page, and the SDK's own files as they were published."""
    name = route.request.url.rpartition("/")[2]
    if name == "agents.html":
        await route.fulfill(path=HERE / name, content_type="text/html")
    else:
        await route.fulfill(path=BUNDLE / name, content_type="text/javascript")


async def test_the_agents_sdk_converses(server: str, ask: Ask, tmp_path: Path) -> None:
    speech: list[bytes | float] = [1.5, ask("Please tell me a story."), 3.5, ask("Where do you live?"), 12.0]
    file = microphone_file(tmp_path / "speech.wav", speech)
    async with browsing(file) as chromium:
        routes = {"**/agents.html": fulfil, "**/sdk/*": fulfil}
        visit = await chromium.visit(f"{server}/agents.html", routes=routes)
        await visit.page.click("#talk")
        await visit.until("told.includes('connected')")
        await visit.until("window.history_?.some(({status}) => status === 'incomplete')")
        await visit.until("history_.length > 3 && history_.at(-1).role === 'assistant' && history_.at(-1).text")
        told: list[str] = await visit.page.evaluate("told")
        history: list[dict[str, Any]] = await visit.page.evaluate("window.history_")
        recording = await visit.recording()
    assert "error" not in told
    assert told[:3] == ["connected", "audio_stopped", "agent_end"]
    assert [entry["role"] for entry in history][:4] == ["user", "assistant"] * 2
    assert "story" in history[0]["text"]
    assert history[1]["status"] == "incomplete"
    assert history[1]["text"].startswith("Once there was"), "what was heard of it"
    began_at, ended_at = recording.sounds()
    assert ended_at - began_at > 3000
    assert visit.errors == []
