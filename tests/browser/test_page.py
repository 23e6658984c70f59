"""The page without much talk: typing, settings that count at once, tables, and what is told when something is wrong."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.browser.relay import relayed
from tests.browser.visitor import Visit, browsing, microphone_file
from tests.e2e.conftest import Ask

from antiphon.apps.config import Config
from antiphon.apps.server import Server

SCRIPTED = {"vad": "scripted", "asr": "scripted", "llm": "scripted", "tts": "scripted:speed=1"}
SIZES = [{"width": 1280, "height": 800}, {"width": 390, "height": 844}]
STORY = "Once there was a lighthouse keeper"


@asynccontextmanager
async def scripted_server(**settings: Any) -> AsyncIterator[Server]:
    """A server in this process whose engines take stated times."""
    config = Config.model_validate({"port": 0, "in_process": True, **SCRIPTED, **settings})
    async with Server(config) as server:
        yield server


async def write(visit: Visit, text: str) -> None:
    await visit.page.fill("#message", text)
    await visit.page.press("#message", "Enter")


async def problem(visit: Visit) -> str:
    await visit.phase("error")
    return await visit.page.inner_text("#problem")


@pytest.mark.parametrize("size", SIZES, ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everybody_can_use_it(server: str, size: dict[str, int], scheme: str) -> None:
    """axe looks at the page before a conversation, with the settings open, in conversation, and at its timing."""
    async with browsing() as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket", viewport=size, color_scheme=scheme)
        assert await visit.violations() == []
        await visit.page.click("#open-settings")
        await visit.until("document.querySelectorAll('.stage-row').length === 4 && document.querySelector('.model')")
        await visit.until("document.getAnimations().length === 0")
        assert await visit.violations() == []
        await visit.page.keyboard.press("Escape")
        await write(visit, "Tell me a story.")
        await visit.phase("speaking")
        await visit.until("document.querySelector('.heard')")
        assert await visit.violations() == []
        if size["width"] < 900:
            await visit.page.click("#tab-timing")
            assert await visit.page.is_visible("#timing")
            assert await visit.violations() == []
        assert await visit.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
        assert visit.errors == []


async def test_it_works_by_keyboard_alone(server: str) -> None:
    async with browsing() as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket")
        focused = "document.activeElement.id"
        await visit.page.keyboard.press("Tab")
        assert await visit.page.evaluate(focused) == "open-settings"
        await visit.page.keyboard.press("Enter")
        assert await visit.page.is_visible("#settings")
        await visit.page.keyboard.press("Escape")
        assert await visit.page.evaluate(focused) == "open-settings"
        await visit.page.keyboard.press("Tab")
        assert await visit.page.evaluate(focused) == "control"
        assert await visit.page.get_attribute("#control", "aria-label") == "Start talking"
        await visit.page.keyboard.press("Tab")
        await visit.page.keyboard.type("Tell me a story.")
        await visit.page.keyboard.press("Enter")
        await visit.phase("speaking")
        await visit.page.focus("#control")
        assert await visit.page.get_attribute("#control", "aria-label") == "Stop the conversation"
        await visit.page.keyboard.press("Enter")
        await visit.phase("idle")
        assert visit.errors == []


async def test_another_voice_goes_on_in_the_middle_of_a_reply(server: str) -> None:
    async with browsing() as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket")
        await write(visit, "Tell me a story.")
        await visit.until("document.querySelector('.heard')?.textContent.split(' ').length > 4")
        await visit.page.click("#open-settings")
        voice = visit.page.get_by_label("Voice", exact=True)
        await visit.until("document.querySelector('#settings optgroup[label=espeak] option')")
        await voice.select_option("espeak:en-GB")
        await visit.until("tap.events.some(({type, voice}) => type === 'antiphon.voice' && voice === 'espeak:en-GB')")
        await visit.until("document.querySelector('.voice').textContent === 'espeak:en-GB'")
        assert await visit.events("response.done") == [], "the reply was over before its voice was changed"
        assert (await visit.entries())[1]["heard"].startswith(STORY)
        assert visit.errors == []


async def test_another_language_model_gives_the_next_answer() -> None:
    brains = ["scripted:token_ms=5,tokens=4", "scripted:token_ms=5,tokens=7"]
    async with scripted_server(llm=brains, tts="scripted:speed=20") as server, browsing() as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket")
        await write(visit, "Hello.")
        await visit.answers(1)
        assert brains[0] in (await visit.page.inner_text("#served"))
        await visit.page.click("#open-settings")
        await visit.page.get_by_label("Language model").select_option(brains[1])
        await visit.until("document.querySelector('#settings').textContent.includes('gives the next answer')")
        assert await visit.violations() == []
        await visit.page.keyboard.press("Escape")
        await write(visit, "And now?")
        await visit.answers(2)
        assert brains[1] in (await visit.page.inner_text("#served"))
        words = [len(entry["text"].split()) for entry in await visit.entries() if entry["role"] == "agent"]
        assert words == [4, 7]
        await visit.page.reload()
        await write(visit, "Still?")
        await visit.event("antiphon.brain")
        assert (await visit.events("antiphon.brain"))[0]["model"] == brains[1], "it is kept for this device"
        assert visit.errors == []


async def test_the_waterfall_is_also_a_table(server: str, ask: Ask, tmp_path: Path) -> None:
    file = microphone_file(tmp_path / "speech.wav", [0.8, ask("Where do you live?"), 6.0])
    async with browsing(file) as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket")
        await visit.page.click("#control")
        await visit.until("document.querySelector('.chart')")
        await visit.until(
            "[...document.querySelectorAll('.chart text')].some((t) => t.textContent === 'Way to your ear')"
        )
        await visit.page.click(".as-table summary")
        rows = await visit.page.eval_on_selector_all(".numbers tbody tr", "rows => rows.map((row) => row.innerText)")
        assert rows[0].startswith("End-of-turn silence")
        assert len(rows) == 7
        figure = await visit.page.inner_text(".figure dd")
        assert 100 < float(figure.split()[0]) < 5000
        async with visit.page.expect_download() as download:
            await visit.page.click("#record")
        saved = await (await download.value).path()
        assert saved is not None
        assert saved.stat().st_size > 10_000
        assert visit.errors == []


async def test_push_to_talk_answers_when_the_key_is_let_go(server: str, ask: Ask, tmp_path: Path) -> None:
    file = microphone_file(tmp_path / "speech.wav", [2.5, ask("What is the capital of France?"), 1.5] * 4)
    async with browsing(file) as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket")
        await visit.by_key()
        await visit.page.keyboard.down("Space")
        loud = "Number(document.getElementById('level-in').style.getPropertyValue('--level'))"
        await visit.until(f"{loud} > 0.5")
        await visit.until(f"{loud} === 0")
        await visit.page.keyboard.up("Space")
        await visit.answers(1)
        entries = await visit.entries()
        assert "capital" in entries[0]["text"]
        assert entries[1]["role"] == "agent"
        assert visit.errors == []


async def test_models_are_loaded_and_unloaded(server: str) -> None:
    async with browsing() as chromium:
        visit = await chromium.visit(server)
        await visit.page.click("#open-settings")
        await visit.page.get_by_role("button", name="Unload espeak").click()
        await visit.page.get_by_role("button", name="Load espeak").click()
        await visit.page.get_by_role("button", name="Unload espeak").wait_for()
        assert visit.errors == []


# What goes wrong.


async def test_without_a_microphone_one_can_type(server: str) -> None:
    async with browsing() as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket")
        await visit.page.click("#control")
        assert "There is no microphone" in await problem(visit)
        assert await visit.violations() == []
        await write(visit, "Hello.")
        await visit.answers(1)
        assert visit.errors == []


async def test_a_microphone_that_is_refused_is_explained(server: str) -> None:
    async with browsing("refused") as chromium:
        visit = await chromium.visit(f"{server}/?transport=websocket")
        await visit.page.click("#control")
        assert "The microphone was refused" in await problem(visit)
        assert visit.errors == []


async def test_an_insecure_address_is_explained() -> None:
    async with scripted_server(allow_origin=["http://house.test"]) as server:
        port = server.url.rpartition(":")[2]
        async with browsing("none", "--host-resolver-rules=MAP house.test 127.0.0.1") as chromium:
            visit = await chromium.visit(f"http://house.test:{port}/")
            await visit.page.click("#control")
            told = await problem(visit)
    assert "--tls self-signed" in told or "does not trust this address" in told


async def test_a_full_server_is_told(tmp_path: Path) -> None:
    async with scripted_server(max_sessions=1) as server, browsing() as chromium:
        first = await chromium.visit(f"{server.url}/?transport=websocket")
        await write(first, "Hello.")
        await first.event("response.created")
        second = await chromium.visit(f"{server.url}/?transport=websocket")
        await write(second, "Hello.")
        assert "All places are taken" in await problem(second)


async def test_a_key_is_asked_for_and_kept() -> None:
    async with scripted_server(api_key=["sk-secret"]) as server, browsing() as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket")
        await visit.page.click("#control")
        assert "asks for a key" in await problem(visit)
        assert await visit.violations() == []
        await visit.page.fill("#key-field", "sk-wrong")
        await visit.page.press("#key-field", "Enter")
        await visit.until("document.getElementById('key-advice').textContent.includes('not right')")
        await visit.page.fill("#key-field", "sk-secret")
        await visit.page.press("#key-field", "Enter")
        assert "There is no microphone" in await problem(visit), "it goes on where it was"
        await visit.page.reload()
        await write(visit, "Hello.")
        await visit.event("response.created")


async def test_a_server_that_goes_is_noticed() -> None:
    async with browsing() as chromium:
        async with scripted_server() as server:
            visit = await chromium.visit(f"{server.url}/?transport=websocket")
            await write(visit, "Hello.")
            await visit.event("response.created")
        told = await problem(visit)
        assert "connection was lost" in told or "does not answer" in told
        assert (await visit.entries())[0]["text"] == "Hello.", "what was said stays"


async def test_a_lost_network_costs_no_word(server: str) -> None:
    async with relayed(server) as relay, browsing() as chromium:
        visit = await chromium.visit(f"{relay.url}/?transport=websocket")
        await write(visit, "Tell me a story.")
        await visit.until("document.querySelector('.heard')?.textContent.split(' ').length > 4")
        relay.down = True
        relay.cut()
        await visit.phase("reconnecting")
        relay.down = False
        await visit.phase("speaking")
        await visit.event("antiphon.resumed")
        heard = "document.querySelector('.heard').textContent"
        await visit.until(f"{heard}.includes('on a small rock in the sea. Every evening she')")
        assert (await visit.entries())[1]["heard"].startswith(STORY)


async def test_a_lost_call_goes_on(server: str) -> None:
    async with browsing() as chromium:
        visit = await chromium.visit(server)
        await write(visit, "Tell me a story.")
        await visit.until("document.querySelector('.heard')?.textContent.split(' ').length > 4")
        await visit.page.evaluate("tap.peer.close()")
        await visit.event("antiphon.resumed")
        await visit.phase("speaking")
        heard = "document.querySelector('.heard').textContent"
        await visit.until(f"{heard}.includes('on a small rock in the sea. Every evening she')")
        assert len(await visit.entries()) == 2
        assert visit.errors == []


async def test_a_call_whose_process_dies_is_explained() -> None:
    async with scripted_server(in_process=False, webrtc_workers=1) as server, browsing() as chromium:
        visit = await chromium.visit(server.url)
        await write(visit, "Hello.")
        await visit.event("response.created")
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/health") as response:
            (process,) = (await response.json())["webrtc"]
        assert process["sessions"] == 1
        os.kill(process["pid"], signal.SIGKILL)
        await visit.page.evaluate("tap.peer.close()")  # it would notice by itself, some seconds later
        assert "The conversation broke off" in await problem(visit)
        assert (await visit.entries())[0]["text"] == "Hello.", "what was said stays"


async def test_a_worker_that_dies_is_seen_at_once(server: str) -> None:
    async with browsing() as chromium, aiohttp.ClientSession() as http:
        visit = await chromium.visit(server)
        await write(visit, "Hello.")
        await visit.answers(1)
        usual = await visit.page.text_content("#served")
        async with http.get(f"{server}/health") as response:
            workers = (await response.json())["workers"]
        os.kill(next(worker["pid"] for worker in workers if worker["stage"] == "tts"), signal.SIGKILL)
        await visit.until("document.getElementById('served').textContent === 'Voice: not available at the moment'")
        await visit.until("document.getElementById('served').textContent === argument", usual)
        await write(visit, "Hello again.")
        await visit.answers(2)
        assert visit.errors == []
