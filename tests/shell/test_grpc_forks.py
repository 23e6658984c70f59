"""Starting a process, as the supervisor does at any time, disturbs no call that is under way."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.shell.worker_client import worker_process

SCRIPT = """
import asyncio, sys
import antiphon
import grpc, uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

async def start_processes(enough):
    started = 0
    while not enough.is_set():
        process = await asyncio.create_subprocess_exec("true", start_new_session=True)
        await process.wait()
        started += 1
        await asyncio.sleep(0.001)
    return started

async def follow(channel):
    while True:
        await channel.wait_for_state_change(channel.get_state(try_to_connect=True))

async def call(address):
    # Whether a connection and its first answer come about.
    async with grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        following = asyncio.create_task(follow(channel))
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        try:
            await asyncio.wait_for(watch.read(), 10)
        except (grpc.aio.AioRpcError, TimeoutError):
            return False
        else:
            return True
        finally:
            watch.cancel()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

async def main(address):
    enough = asyncio.Event()
    starting = asyncio.create_task(start_processes(enough))
    answered = [await asyncio.gather(*(call(address) for _ in range(5))) for _ in range(80)]
    enough.set()
    print(sum(not all(calls) for calls in answered), await starting)

uvloop.run(main(sys.argv[1]))
"""


async def test_calls_live_through_the_start_of_processes(tmp_path: Path) -> None:
    listen = f"unix://{tmp_path}/worker.sock"
    async with worker_process("asr", "--models", "scripted", listen=listen):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", SCRIPT, listen, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(process.communicate(), 100)
    failed, started = map(int, said.split())
    assert started > 10
    assert failed == 0
