"""The page in impatient hands, on bad networks and with microphones that come and go: nothing that was said is lost."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from playwright.async_api import Route
from tests.browser.relay import relayed
from tests.browser.test_page import scripted_server, write
from tests.browser.visitor import Visit, browsing, microphone_file
from tests.e2e.conftest import Ask

PATH = ["websocket", "webrtc"]
QUICK = {"llm": "scripted:first_token_ms=0,token_ms=1,tokens=4", "tts": "scripted:first_audio_ms=0,speed=20"}
AT_END = "((s) => s.scrollHeight - s.scrollTop - s.clientHeight < 4)(document.getElementById('scroll'))"
LEVEL = "Number(document.getElementById('level-in').style.getPropertyValue('--level'))"
HAND_OUT = """() => {
    const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => (window.stream = await given(wanted));
}"""
PULL_OUT = "stream.getAudioTracks().forEach((t) => { t.stop(); t.dispatchEvent(new Event('ended')); })"
TAP = """() => {
    for (const type of ["keydown", "keyup"]) {
        document.activeElement.dispatchEvent(new KeyboardEvent(type, { code: "Space", bubbles: true }));
    }
}"""
CLEARED = "tap.events.filter(({type}) => type === 'input_audio_buffer.cleared').length >= argument"
KEEP_LINE = """() => {
    window.WebSocket = class extends WebSocket { constructor(...to) { super(...to); window.line = this; } };
}"""
TURNS = """([first, last]) => {
    for (let number = first; number <= last; number++) {
        const marks = { turn_ended: 300, recognizer_final: 200, brain_started: 200, brain_first_token: 220,
            first_clause: 230, voice_first_audio: 260, first_sound: 310 + number };
        const turn = { type: "antiphon.turn", event_id: "", response_id: `r${number}`, marks, ahead: true };
        line.onmessage({ data: JSON.stringify(turn) });
    }
}"""
PLUG_IN = "navigator.mediaDevices.dispatchEvent(new Event('devicechange'))"


class Gate:
    """Holds requests back until it is opened."""

    def __init__(self) -> None:
        self.reached, self._open = asyncio.Event(), asyncio.Event()

    async def hold(self, route: Route) -> None:
        self.reached.set()
        await self._open.wait()
        await route.continue_()

    def open(self) -> None:
        self._open.set()


async def nobody_is_there(visit: Visit) -> None:
    await visit.until("fetch('/health').then((told) => told.json()).then(({sessions}) => sessions === 0)")


@pytest.mark.parametrize("transport", PATH)
async def test_who_stops_before_it_stands_has_stopped(transport: str) -> None:
    gate = Gate()
    async with scripted_server(**QUICK) as server, browsing() as chromium:
        routes = {"**/readiness": gate.hold}
        visit = await chromium.visit(f"{server.url}/?transport={transport}", routes=routes)
        await write(visit, "Hello.")
        await gate.reached.wait()
        await visit.page.click("#control")
        await visit.phase("idle")
        assert await visit.page.input_value("#message") == "Hello.", "what was not sent is there to be sent"
        gate.open()
        await visit.event("session.created")
        await nobody_is_there(visit)
        await visit.phase("idle")
        assert await visit.entries() == []
        assert visit.errors == []


async def test_what_is_written_while_it_connects_is_sent_when_it_stands() -> None:
    gate = Gate()
    async with scripted_server(**QUICK) as server, browsing() as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket", routes={"**/readiness": gate.hold})
        await write(visit, "Hello.")
        await gate.reached.wait()
        await write(visit, "Are you there?")
        gate.open()
        await visit.until("document.querySelectorAll('.entry[data-role=agent]').length > 0")
        said = [entry["text"] for entry in await visit.entries() if entry["role"] == "user"]
        assert said == ["Hello.", "Are you there?"]
        assert visit.errors == []


async def test_what_is_written_while_the_network_is_gone_is_sent_when_it_is_back() -> None:
    async with scripted_server(**QUICK) as server, relayed(server.url) as relay, browsing() as chromium:
        visit = await chromium.visit(f"{relay.url}/?transport=websocket")
        await write(visit, "Hello.")
        await visit.answers(1)
        relay.down = True
        relay.cut()
        await visit.phase("reconnecting")
        await write(visit, "Are you there?")
        relay.down = False
        await visit.answers(2)
        assert [entry["text"] for entry in await visit.entries() if entry["role"] == "user"][1] == "Are you there?"


async def test_what_a_full_server_did_not_take_can_be_sent_again() -> None:
    async with scripted_server(max_sessions=1) as server, browsing() as chromium:
        first = await chromium.visit(f"{server.url}/?transport=websocket")
        await write(first, "Hello.")
        await first.event("response.created")
        second = await chromium.visit(f"{server.url}/?transport=websocket")
        await write(second, "Is there a place?")
        await second.phase("error")
        assert await second.page.input_value("#message") == "Is there a place?"


@pytest.mark.parametrize("transport", PATH)
async def test_a_microphone_that_is_pulled_out_ends_nothing(transport: str, tmp_path: Path) -> None:
    file = microphone_file(tmp_path / "speech.wav", [20.0])
    async with scripted_server(**QUICK) as server, browsing(file) as chromium:
        visit = await chromium.visit(f"{server.url}/?transport={transport}", viewport={"width": 390, "height": 844})
        await visit.page.evaluate(HAND_OUT)
        await visit.page.click("#control")
        await visit.phase("ready")
        assert await visit.page.inner_text("#hint") == "Say something."
        await visit.page.evaluate(PULL_OUT)
        await visit.page.wait_for_selector("#problem:not([hidden])")
        assert "The microphone is gone" in await visit.page.inner_text("#problem")
        box = await visit.page.evaluate("document.getElementById('problem').getBoundingClientRect().toJSON()")
        assert box["left"] >= 12, "it stands off the edges of a phone"
        assert box["right"] <= 390 - 12
        assert await visit.page.inner_text("#hint") == "Type a message."
        await write(visit, "Hello.")
        await visit.answers(1)
        assert len(await visit.events("session.created")) == 1
        await visit.page.evaluate(PLUG_IN)
        await visit.page.wait_for_selector("#problem", state="hidden")
        await visit.phase("ready")
        assert await visit.page.inner_text("#hint") == "Say something."
        assert visit.errors == []


async def test_what_is_said_while_the_network_is_gone_is_heard(server: str, ask: Ask, tmp_path: Path) -> None:
    """With push-to-talk: the key is let go before the network is back."""
    file = microphone_file(tmp_path / "speech.wav", [3.0, ask("What is the capital of France?"), 20.0])
    async with relayed(server) as relay, browsing(file) as chromium:
        visit = await chromium.visit(relay.url)
        await visit.by_key()
        await visit.page.keyboard.down("Space")
        await visit.until(f"{LEVEL} > 0.3")
        relay.down = True
        relay.cut()
        await visit.page.evaluate("tap.peer.close()")
        await visit.phase("reconnecting")
        await visit.until(f"{LEVEL} === 0")
        await visit.page.keyboard.up("Space")
        assert await visit.page.get_attribute("#mute", "aria-pressed") == "false", "it does not listen on"
        relay.down = False
        await visit.answers(1)
        entries = await visit.entries()
        assert "capital of france" in entries[0]["text"].lower()
        assert entries[1]["role"] == "agent"


async def test_a_tap_on_the_key_stops_the_agent_and_asks_nothing(tmp_path: Path) -> None:
    slow = {"llm": "scripted:first_token_ms=0,token_ms=1,tokens=60"}
    file = microphone_file(tmp_path / "speech.wav", [30.0])
    async with scripted_server(**slow) as server, browsing(file) as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket")
        await visit.by_key()
        await visit.page.keyboard.down("Space")
        await visit.phase("listening")
        assert await visit.page.inner_text("#hint") == "Let go to send."
        await visit.page.keyboard.up("Space")
        await write(visit, "Hello.")
        await visit.phase("speaking")
        await visit.page.focus("#control")
        before = len(await visit.events("input_audio_buffer.cleared"))
        await visit.page.evaluate(TAP)  # sooner than a test's own key is up
        await visit.phase("ready")
        await visit.until(CLEARED, before + 2)
        assert [event["response"]["status"] for event in await visit.events("response.done")][-1] == "cancelled"
        assert len(await visit.events("response.created")) == len(await visit.events("response.done"))
        await write(visit, "And now?")
        await visit.phase("speaking")
        await visit.page.click("#control")
        assert await visit.events("error") == []


async def test_a_server_that_began_anew_is_told_from_one_that_is_gone() -> None:
    async with browsing() as chromium:
        async with scripted_server(**QUICK) as server, relayed(server.url) as relay:
            visit = await chromium.visit(f"{relay.url}/?transport=webrtc")
            await write(visit, "Hello.")
            await visit.answers(1)
            relay.down = True
            relay.cut()
            address, port = relay.url, int(relay.url.rpartition(":")[2])
        await visit.phase("reconnecting")
        async with scripted_server(**QUICK, port=port) as server:
            assert server.url == address
            await visit.phase("error")
            assert "The conversation broke off" in await visit.page.inner_text("#problem")
            await write(visit, "Are you there?")
            await visit.answers(2)
            assert [entry["text"] for entry in await visit.entries()][::2] == ["Hello.", "Are you there?"]


async def test_the_newest_words_stay_in_sight() -> None:
    long = {"llm": "scripted:first_token_ms=0,token_ms=0,tokens=200", "tts": "scripted:first_audio_ms=0,speed=500"}
    async with scripted_server(**long) as server, browsing() as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket")
        await write(visit, "Hello.")
        await visit.until(f"document.querySelector('.heard, .coming')?.textContent.length > 100 && {AT_END}")
        await visit.page.set_viewport_size({"width": 390, "height": 600})
        await visit.until(AT_END)
        await visit.page.click("#tab-timing")
        await write_unseen(visit, "And now?")
        await visit.page.click("#tab-conversation")
        await visit.until(f"document.querySelectorAll('.entry').length === 4 && {AT_END}")
        await visit.page.evaluate("document.getElementById('scroll').scrollTop = 0")
        await visit.until("document.getElementById('scroll').scrollTop === 0")
        words = await visit.page.evaluate("document.querySelector('.entries').textContent.length")
        await write(visit, "More.")
        await visit.until("document.querySelector('.entries').textContent.length > argument + 100", words)
        assert await visit.page.evaluate("document.getElementById('scroll').scrollTop") == 0, "who reads is left alone"
        assert visit.errors == []


async def write_unseen(visit: Visit, text: str) -> None:
    """As speech would come while the captions are not in sight."""
    await visit.page.evaluate(
        "text => { document.getElementById('message').value = text;"
        " document.getElementById('composer').requestSubmit(); }",
        text,
    )
    await visit.until("document.querySelectorAll('.entry').length === 4")


async def test_an_answer_that_is_looked_at_stays_while_others_come() -> None:
    async with scripted_server(**QUICK) as server, browsing() as chromium:
        visit = await chromium.visit(f"{server.url}/?transport=websocket")
        await visit.page.evaluate(KEEP_LINE)
        await write(visit, "Hello.")
        await visit.answers(1)
        await visit.page.evaluate(TURNS, [1, 2])
        await visit.page.click("[data-turn=turn-1]")
        await visit.page.evaluate(TURNS, [3, 50])
        await visit.until("document.querySelectorAll('.turn').length === 50")
        shown = "document.querySelector('.turn[aria-pressed=true]').dataset.turn"
        assert await visit.page.evaluate(shown) == "turn-1"
        await visit.page.click("[data-turn=turn-50]")
        await visit.page.evaluate(TURNS, [51, 51])
        assert await visit.page.evaluate(shown) == "turn-51", "who looks at the newest sees the next"
        assert await visit.violations() == []
        assert visit.errors == []


async def test_the_button_of_a_model_keeps_the_focus(server: str) -> None:
    async with browsing() as chromium:
        visit = await chromium.visit(server)
        await visit.page.click("#open-settings")
        await visit.page.get_by_role("button", name="Unload espeak", exact=True).press("Enter")
        await visit.page.get_by_role("button", name="Load espeak", exact=True).wait_for()
        assert await visit.page.evaluate("document.activeElement.ariaLabel") == "Load espeak"
        await visit.page.keyboard.press("Enter")
        await visit.page.get_by_role("button", name="Unload espeak", exact=True).wait_for()
        assert await visit.page.evaluate("document.activeElement.ariaLabel") == "Unload espeak"
        assert visit.errors == []
