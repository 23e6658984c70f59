"""openai-python, unmodified, and aiortc in a call with real speech; the sideband is the SDK's own."""

from __future__ import annotations

import asyncio
import io
import wave
from typing import Any

import aiohttp
import pytest
from aiortc import RTCSessionDescription
from openai import AsyncOpenAI
from tests.e2e.conftest import Ask
from tests.e2e.listening import words_in_common
from tests.e2e.test_openai_python import HEARING, Call
from tests.shell.rtc_client import RATE_HZ, RtcClient

from antiphon.audio import WIRE_PCM_RATE_HZ, bytes_to_ms, resample
from antiphon.sim.referee import Referee

pytestmark = pytest.mark.serial  # an interruption is measured

QUESTION = "Where do you live?"
CAPITAL = "What is the capital of France?"


class Phone(RtcClient):
    """A client of a call whose offer goes through the SDK."""

    async def dial(self, client: AsyncOpenAI, session: Any) -> str:
        response = await client.realtime.calls.create(sdp=await self.offer(), session=session)
        await self.pc.setRemoteDescription(RTCSessionDescription(response.text, "answer"))
        self.location = response.response.headers["Location"]
        return self.call_id

    def say(self, pcm: bytes) -> None:
        """Mono s16 at 24 kHz."""
        self.microphone.say(resample(pcm, WIRE_PCM_RATE_HZ, RATE_HZ))


async def recognized(http: aiohttp.ClientSession, server: str, pcm: bytes) -> str:
    """What somebody understands of mono s16 at 48 kHz."""
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm)
    form = aiohttp.FormData()
    form.add_field("file", sound.getvalue(), filename="heard.wav", content_type="audio/wav")
    form.add_field("model", "whisper-1")
    async with http.post(f"{server}/v1/audio/transcriptions", data=form) as response:
        return str((await response.json())["text"])


@pytest.mark.timeout(180)
async def test_a_call_with_a_sideband_and_a_barge_in(server: str, ask: Ask) -> None:
    client = AsyncOpenAI(api_key="none", base_url=f"{server}/v1")
    async with client, aiohttp.ClientSession() as http:
        phone = Phone(http, "")
        call_id = await phone.dial(client, {"type": "realtime", "audio": {"input": HEARING}})
        try:
            created = (await phone.until("session.created"))["session"]
            assert created["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
            async with client.realtime.connect(call_id=call_id) as connection:
                side = Call(connection, 45.0)
                listener = asyncio.create_task(side.listen())
                await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
                assert (await side.until("session.updated")).session.instructions == "Be brief."
                assert side.events.entries[0].type == "session.updated"

                said = await converse(phone, ask)
                answer = await recognized(http, server, bytes(phone.heard))
                assert words_in_common(answer, said) > 0.6, (answer, said)
                await barge_in(phone, ask)

                await client.realtime.calls.hangup(call_id)
                await asyncio.wait_for(listener, 20)
                kinds = [event.type for event in side.events.entries]
                assert "output_audio_buffer.cleared" in kinds
                assert "response.output_audio.delta" not in kinds
                assert "session.created" not in kinds
        finally:
            await phone.close()


async def converse(phone: Phone, ask: Ask) -> str:
    """Asks, and returns what the answer said."""
    phone.say(ask(QUESTION))
    heard = await phone.until("conversation.item.input_audio_transcription.completed")
    assert words_in_common(heard["transcript"], QUESTION) > 0.7
    stopped = await phone.until("output_audio_buffer.stopped")
    done = await phone.until("response.done")
    assert done["response"]["id"] == stopped["response_id"]
    judge(phone.events)
    return str(done["response"]["output"][0]["content"][0]["transcript"])


async def barge_in(phone: Phone, ask: Ask) -> None:
    since = len(phone.events)
    phone.send(
        {
            "type": "conversation.item.create",
            "item": {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "What can you do?"}],
            },
        }
    )
    phone.send({"type": "response.create"})
    started = await phone.until("output_audio_buffer.started", since=since)
    before = len(phone.heard)
    phone.say(ask(CAPITAL))
    cleared = await phone.until("output_audio_buffer.cleared", since=since)
    truncated = await phone.until("conversation.item.truncated", since=since)
    heard_ms = bytes_to_ms(len(phone.heard) - before, RATE_HZ)
    assert cleared["response_id"] == started["response_id"]
    # The two clocks begin within some frames of each other; the sound of before may still be on its way.
    assert abs(truncated["audio_end_ms"] - heard_ms) < 1500
    done = await phone.until(lambda event: event["type"] == "response.done", since=since)
    assert done["response"]["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    await phone.until("output_audio_buffer.stopped", since=since)
    after = await phone.until(lambda event: event["type"] == "response.done" and event != done, since=since)
    assert "Paris" in after["response"]["output"][0]["content"][0]["transcript"]
    judge(phone.events)


def judge(events: list[dict[str, Any]]) -> None:
    referee = Referee(call=True)
    for event in events:
        referee.feed(event)
    referee.finish()
