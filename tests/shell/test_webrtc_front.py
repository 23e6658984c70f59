"""Calls that other processes carry: each request finds the one that it is for."""

from __future__ import annotations

import aiohttp
import pytest
from tests.shell.media_house import CALLS, KEY, SDP, SECRETS, house, number_of, told

from antiphon.core.carriers import Mark
from antiphon.transport.limits import Limits


async def test_calls_are_shared_out_and_found_by_their_ids() -> None:
    async with house() as here, here.call() as one, here.call(f"{CALLS}?model=gpt-realtime") as other:
        assert [number_of(one.call_id), number_of(other.call_id)] == [1, 2]
        for client in (one, other):
            created = (await client.until("session.created"))["session"]
            assert number_of(created["id"]) == number_of(client.call_id)
            async with here.socket(f"call_id={client.call_id}") as side:
                await side.send_json({"type": "session.update", "session": {"instructions": client.call_id}})
                assert (await told(side, "session.updated"))["session"]["instructions"] == client.call_id
                async with here.outside.post(f"{here.url}{client.location}/hangup") as response:
                    assert response.status == 200
                assert (await side.receive(timeout=20)).data == 1000
        status, code, _ = await here.refusal(f"{one.location}/hangup")
        assert (status, code) == (404, "call_not_found")
        assert here.carriers.calls == 2, "until the processes tell"


async def test_a_process_that_refuses_is_passed_over_and_all_of_them_refuse_only_once() -> None:
    async with house() as here, here.call() as one:
        assert number_of(one.call_id) == 1
        here.carrier(1).tell(sessions=0, busy=0.0, begun=1)  # it is full all the same, and says so
        here.carrier(2).tell(sessions=0, busy=0.5, begun=0)
        async with here.call() as other:
            assert number_of(other.call_id) == 2
            status, code, headers = await here.refusal(CALLS, data=one.pc.localDescription.sdp)
            assert (status, code) == (503, "server_is_full")
            assert int(headers["Retry-After"]) > 0
            assert here.ledger.refusals == ["load"]


async def test_sessions_are_counted_over_all_processes() -> None:
    async with house(limits=Limits(max_sessions=1)) as here, here.call() as client:
        status, code, headers = await here.refusal(CALLS, data=client.pc.localDescription.sdp)
        assert (status, code) == (503, "server_is_full")
        assert "Retry-After" in headers
        assert here.ledger.refusals == ["full"]
        assert (await here.upgrade_refusal("model=any"))[0] == 503


async def test_a_client_secret_brings_its_session() -> None:
    long = "Be kind. " * 4000
    async with house(1, keys=("sk-secret",)) as here:
        body = {"session": {"type": "realtime", "instructions": long}}
        async with here.outside.post(here.url + SECRETS, json=body, headers=KEY) as response:
            bearer = {"Authorization": f"Bearer {(await response.json())['value']}"}
        async with here.call("/v1/realtime?model=gpt-4o-realtime-preview", headers=bearer) as client:
            assert (await client.until("session.created"))["session"]["instructions"] == long


async def test_nobody_comes_in_by_a_header_of_our_own() -> None:
    async with house(1, keys=("sk-secret",)) as here:
        forged = {**SDP, "X-Antiphon-Grant": "e30="}
        status, code, _ = await here.refusal(CALLS, data="v=0", headers=forged)
        assert (status, code) == (401, "invalid_api_key")
        status, _, _ = await here.refusal(f"{CALLS}/{Mark(1, '0' * 8).before('rtc_')}x", data="v=0", headers=forged)
        assert status == 401


async def test_a_token_is_judged_by_the_process_that_gave_it() -> None:
    async with house(1, keys=("sk-secret",)) as here:
        async with here.call(f"{CALLS}?resumable=1", headers=KEY) as client:
            token = (await client.until("antiphon.resumable"))["token"]
            assert number_of(token) == 1
            wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
            assert (await here.refusal(f"{client.location}?token={wrong}", data="v=0"))[0] == 401
            assert await here.upgrade_refusal(f"resume={wrong}") == (401, "invalid_api_key")
            again = here.call(f"{client.location}?token={token}", status=200)
            async with again:
                await again.until("antiphon.resumed")
        async with here.socket(f"resume={token}") as socket:
            resumed = await told(socket, "antiphon.resumed")
            assert number_of(resumed["session"]["id"]) == 1
        assert await here.upgrade_refusal(f"resume={wrong}", **KEY) == (404, "session_not_found")


async def test_a_client_that_is_lost_is_waited_for_there() -> None:
    async with house(1) as here, here.call(f"{CALLS}?resumable=1") as client:
        token = (await client.until("antiphon.resumable"))["token"]
        async with here.socket(f"resume={token}") as first:
            await told(first, "antiphon.resumed")
            first._response.connection.transport.abort()  # nobody says goodbye
        async with here.socket(f"resume={token}") as second:
            await told(second, "antiphon.resumed")


async def test_a_record_is_fetched_where_it_is() -> None:
    async with (
        house(1, keys=("sk-secret",)) as here,
        here.call(f"{CALLS}?events=antiphon&record=1", headers=KEY) as call,
    ):
        record = await call.until("antiphon.record")
        async with here.outside.get(here.url + record["url"]) as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/x-ndjson"
            assert "attachment" in response.headers["Content-Disposition"]
            assert (await response.read()).startswith(b"{")
        bare = record["url"].partition("?")[0]
        async with here.outside.get(here.url + bare, headers=KEY) as response:
            assert response.status == 200
        async with here.outside.get(here.url + bare) as response:
            assert response.status == 401


async def test_a_process_that_has_ended_has_taken_its_calls_along() -> None:
    async with house(1) as here, here.call(f"{CALLS}?resumable=1&record=1&events=antiphon") as client:
        token = (await client.until("antiphon.resumable"))["token"]
        record = await client.until("antiphon.record")
        here.carriers.end(1)
        status, code, _ = await here.refusal(f"{client.location}?token={token}", data=client.pc.localDescription.sdp)
        assert (status, code) == (410, "call_lost")
        assert await here.upgrade_refusal(f"call_id={client.call_id}") == (410, "call_lost")
        assert await here.upgrade_refusal(f"resume={token}") == (410, "call_lost")
        async with here.outside.get(here.url + record["url"]) as response:
            assert response.status == 410
        status, code, headers = await here.refusal(CALLS, data=client.pc.localDescription.sdp)
        assert (status, code) == (503, "server_is_full")
        assert "Retry-After" in headers


@pytest.mark.parametrize(
    "call", ["rtc_none", Mark(1, "0" * 8).before("rtc_") + "none", Mark(9, "0" * 8).before("rtc_")]
)
async def test_a_call_that_there_is_not(call: str) -> None:
    async with house(1) as here:
        assert (await here.refusal(f"{CALLS}/{call}/hangup"))[:2] == (404, "call_not_found")
        assert (await here.refusal(f"{CALLS}/{call}", data="v=0"))[:2] == (404, "call_not_found")
        assert await here.upgrade_refusal(f"call_id={call}") == (404, "call_not_found")


async def test_a_process_that_does_not_answer_is_passed_over() -> None:
    async with house() as here, here.call() as client:
        assert number_of(client.call_id) == 1
        here.carrier(1).tell(sessions=0, busy=0.0, begun=1)
        await here.http(1).close()
        here._inside[1] = aiohttp.ClientSession(connector=aiohttp.UnixConnector("/nonexistent"))
        try:
            async with here.call() as other:
                assert number_of(other.call_id) == 2
            status, code, headers = await here.refusal(f"{client.location}/hangup")
            assert (status, code) == (503, "server_is_full")
            assert "Retry-After" in headers
        finally:
            await here._inside[1].close()


async def test_what_a_page_elsewhere_may_read() -> None:
    """The front answers for the processes: they are told nothing of origins."""
    async with house(1, keys=("sk-secret",)) as here:
        headers = {**KEY, "Origin": here.url}
        async with (
            here.call(headers=headers) as client,
            here.outside.options(here.url + CALLS, headers=headers) as answer,
        ):
            assert answer.status == 204
            hangup = f"{here.url}{client.location}/hangup"
            async with here.outside.post(hangup, headers=headers) as response:
                assert response.headers["Access-Control-Allow-Origin"] == here.url
                assert response.headers.getall("Vary") == ["Origin"]
