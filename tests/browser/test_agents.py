"""The page where the server has agents and keeps conversations: who answers, what tools do, and what goes on later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from tests.browser.test_page import SCRIPTED, write
from tests.browser.visitor import Chromium, Visit, browsing

from antiphon.agents.agent import Agent
from antiphon.agents.base import ToolError
from antiphon.agents.context import Context
from antiphon.agents.tools import tool
from antiphon.apps.config import Config
from antiphon.apps.server import Server

PHONE = {"width": 390, "height": 844}
KEPT = "document.querySelectorAll('#conversations .kept-row').length"


class Calendar:
    """A tool that is done when the test says so."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()

    def agents(self) -> list[Agent]:
        @tool
        async def find_tour(context: Context) -> str:
            """Finds the next guided tour."""
            context.progress("asking the tour office")
            await self.may_end.wait()
            return "at three"

        @tool(cancel_on_barge_in=True)
        async def wait_long() -> str:
            """Waits."""
            await asyncio.sleep(3600)
            return "never"

        @tool
        def ticket_price(people: int) -> str:
            """Tells the price of tickets."""
            raise ToolError("Groups have to write to us")

        lost = Agent("lost_property", greeting="This is the lost property office.")
        return [Agent("museum", tools=[find_tour, ticket_price, wait_long], handoffs=[lost], fillers=())]


@asynccontextmanager
async def serving(*agents: Agent, **settings: Any) -> AsyncIterator[Server]:
    quick = {**SCRIPTED, "llm": "scripted:token_ms=1,tokens=4", "tts": "scripted:speed=20"}
    config = Config.model_validate({"port": 0, "in_process": True, **quick, **settings})
    async with Server(config, agents=agents) as server:
        yield server


async def usable(visit: Visit) -> None:
    await visit.until("document.getAnimations().every(({playState, effect}) => effect.getTiming().iterations > 1)")
    assert await visit.violations() == []
    assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"


async def shown(visit: Visit, status: str, *words: str) -> None:
    """Waits for a tool that stands so, and what is told of it in the captions and to those who do not see them."""
    condition = (
        "[...document.querySelectorAll(`[data-role=tool][data-status=${argument[0]}]`)].some(({innerText}) =>"
        " argument[1].every((word) => innerText.includes(word))) &&"
        " argument[1].every((word) => document.getElementById('aside').textContent.includes(word))"
    )
    await visit.until(condition, [status, words])


async def test_who_answers_and_what_tools_do_is_shown() -> None:
    for look in ({"color_scheme": "light"}, {"color_scheme": "dark", "viewport": PHONE}):
        calendar = Calendar()
        async with serving(*calendar.agents()) as server, browsing() as chromium:
            visit = await chromium.visit(f"{server.url}/?transport=websocket", **look)
            await write(visit, 'call ticket_price {"people": 60}')
            await shown(visit, "failed", "Ticket price", "failed", "Groups have to write to us")
            assert await visit.page.inner_text("#agent") == "Museum"
            await visit.answers(2)
            await write(visit, "call find_tour {}")
            await shown(visit, "running", "Find tour", "running", "asking the tour office")
            await visit.until("document.getElementById('hint').textContent === 'Find tour: asking the tour office'")
            await visit.phase("thinking")
            await usable(visit)
            calendar.may_end.set()
            await shown(visit, "completed", "Find tour", "done")
            await visit.answers(4)
            rows = "[...document.querySelectorAll('.chart text')].map(({textContent}) => textContent)"
            await visit.until(f"{rows}.includes('Until it is told')")
            assert "asking the tour office" in await visit.page.evaluate(rows)
            await write(visit, "call wait_long {}")
            await shown(visit, "running", "Wait long")
            await write(visit, "call transfer_to_lost_property {}")
            await visit.until("document.querySelector('[data-role=change]')")
            await visit.until("document.getElementById('agent').textContent === 'Lost property'")
            await visit.until(
                "document.querySelector('.entry:last-child .who').textContent.startsWith('Lost property')"
            )
            assert "Lost property answers from here on." in await visit.page.inner_text("#entries")
            tools = [entry["text"] for entry in await visit.entries() if entry["role"] == "tool"]
            assert [text.removesuffix("running") for text in tools[-1:]] == ["Wait long"], "a hand-over is no tool here"
            await usable(visit)
            if "viewport" in look:
                await visit.page.click("#tab-timing")
                await usable(visit)
                await visit.page.click("#tab-conversation")
            await visit.page.click("#control")
            await shown_at_the_end(visit)
            assert visit.errors == []


async def shown_at_the_end(visit: Visit) -> None:
    await visit.phase("idle")
    await visit.until("document.querySelectorAll('[data-status=running]').length === 0")
    assert await visit.page.is_hidden("#agent")


async def begun(chromium: Chromium, server: Server, text: str, **look: Any) -> Visit:
    """A visitor who has said something, and been answered."""
    visit = await chromium.visit(f"{server.url}/?transport=websocket", **look)
    assert await visit.page.is_hidden("#open-conversations"), "another browser's are not listed"
    await write(visit, text)
    await visit.answers(1)
    await visit.until("localStorage.getItem('antiphon.conversations')")
    return visit


async def opened(visit: Visit, count: int) -> None:
    await visit.page.click("#open-conversations")
    await visit.until(f"{KEPT} === argument", count)


async def test_a_conversation_goes_on_later_and_is_deleted(tmp_path: Path) -> None:
    async with serving(sessions=str(tmp_path / "kept.db")) as server, browsing() as chromium:
        visit = await begun(chromium, server, "echo good morning", viewport=PHONE)
        await visit.page.reload()
        await opened(visit, 1)
        await usable(visit)
        await visit.page.get_by_role("button", name="Go on with: echo good morning").click()
        await visit.until("document.querySelectorAll('.entry').length === 2")
        assert [entry["text"] for entry in await visit.entries()] == ["echo good morning", "good morning"]
        assert "You can still type" in await visit.page.inner_text("#problem"), "there is no microphone"
        await write(visit, "repeat")
        await visit.answers(1)
        assert [entry["text"] for entry in await visit.entries()][2:] == ["repeat", "good morning"]
        await opened(visit, 1)
        await visit.page.get_by_role("button", name="New conversation").click()
        await visit.until("document.body.dataset.room === 'empty'")
        await write(visit, "echo something else")
        await visit.answers(2)
        await opened(visit, 2)
        await visit.page.get_by_role("button", name="Delete: echo good morning").click()
        await visit.page.get_by_role("button", name="Really delete: echo good morning").click()
        await visit.until(f"{KEPT} === 1")
        assert "Deleted: echo good morning" in await visit.page.inner_text("#conversations")
        await usable(visit)
        assert visit.errors == []


async def test_a_conversation_that_is_gone_or_taken_over_is_explained(tmp_path: Path) -> None:
    async with serving(sessions=str(tmp_path / "kept.db")) as server, browsing() as chromium:
        visit = await begun(chromium, server, "echo good morning")
        name = await visit.page.evaluate("JSON.parse(localStorage.getItem('antiphon.conversations'))[0].id")
        query = f"{server.url}/v1/realtime?conversation={name}"
        async with aiohttp.ClientSession() as http:
            async with http.ws_connect(query):
                await visit.phase("error")
                assert "goes on elsewhere" in await visit.page.inner_text("#problem")
            async with http.delete(f"{server.url}/v1/antiphon/conversations/{name}") as deleted:
                assert deleted.status == 200
        await write(visit, "repeat")
        await visit.until("document.getElementById('problem').innerText.includes('has this conversation no longer')")
        await write(visit, "echo anew")
        await visit.until("document.getElementById('entries').innerText.includes('anew')")
