"""A browser whose network changes keeps its call: ICE restart, as browsers do it."""

from __future__ import annotations

from pathlib import Path

from playwright.async_api import async_playwright
from tests.browser.visitor import ALLOWED, FLAGS, chromium
from tests.shell.test_webrtc_calls import judge, site

PAGE = Path(__file__).parent / "page" / "restart.js"


async def test_a_call_goes_on_over_another_path() -> None:
    llm = "scripted:first_token_ms=0,token_ms=1,tokens=6"
    async with site(llm=llm) as here, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *ALLOWED])
        try:
            page = await browser.new_page()
            await page.goto(here.server.url)
            call = await page.evaluate(PAGE.read_text())
        finally:
            await browser.close()
    assert call["statuses"] == [201, 200]
    assert call["before"] != call["after"], "it is another path"
    assert call["after"].endswith("connected")
    assert call["state"] == "connected"
    judge(call["events"], call=True)
