"""Workers as processes: how they start, are ended, and what becomes of them when others die."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from pathlib import Path

import grpc
import psutil
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.shell.worker_client import LIMIT_S, Speaker, channel_to, pcm_of, status_of, worker_process

from antiphon.apps.worker import WorkerOptions, settings_of
from antiphon.audio import MOUTH_RATE_HZ
from antiphon.engines.scripted import count_to
from antiphon.engines.tone_code import decode
from antiphon.errors import ConfigError
from antiphon.v1 import models_pb2 as models
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub

FAST = "scripted:first_audio_ms=0,speed=1000"


async def test_two_sessions_on_one_worker(tmp_path: Path) -> None:
    """One is paused and one reads slowly; a third hears all of its frames."""
    async with (
        worker_process("tts", "--models", f"{FAST},pico", listen=f"unix://{tmp_path}/tts.sock") as worker,
        channel_to(worker.address) as channel,
    ):
        stub = SynthesizerStub(channel)  # type: ignore[no-untyped-call]
        paused, slow, free = (Speaker(stub, name) for name in ("paused", "slow", "free"))
        for speaker in (paused, slow):
            await speaker.say(0, count_to(90))
            await speaker.credit(25)
        await paused.frames(1)
        control = models.ControlRequest
        await stub.Control(control(verb=control.PAUSE, session="paused"))
        await free.credit(100_000)
        for segment in range(5):
            await free.say(segment, count_to(20))
            assert decode(pcm_of(await free.segment()), MOUTH_RATE_HZ) == count_to(20)
        capabilities = await stub.GetCapabilities(models.GetCapabilitiesRequest())
        assert (capabilities.stage, capabilities.active, capabilities.resident) == ("tts", 3, [FAST])
        assert 0 < capabilities.rtf < 1
        assert capabilities.models == [FAST, "pico"]
        assert {"en", "de-DE"} <= set(capabilities.languages)
        for speaker in (paused, slow, free):
            assert await speaker.close() is grpc.StatusCode.OK


async def test_a_signal_lets_what_runs_end() -> None:
    async with worker_process("tts", "--models", "scripted:speed=4") as worker, channel_to(worker.address) as channel:
        speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
        await speaker.credit(100_000)
        await speaker.say(0, count_to(20))
        await speaker.frames(1)
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        worker.process.terminate()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()
        assert (await speaker.segment())[-1].audio.final
        await speaker.close()
        code, log = await worker.ended()
    assert code == 0, log
    assert "Traceback" not in log
    assert "left behind" not in log


async def test_who_watches_the_health_does_not_hold_up_the_end() -> None:
    async with (
        worker_process("tts", "--models", FAST, "--drain-s", "300") as worker,
        channel_to(worker.address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        worker.process.terminate()
        code, log = await worker.ended()
    assert code == 0, log
    assert "Traceback" not in log


async def test_a_drain_has_an_end() -> None:
    async with (
        worker_process("tts", "--models", "scripted:speed=1", "--drain-s", "0.2") as worker,
        channel_to(worker.address) as channel,
    ):
        speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
        await speaker.credit(100_000)
        await speaker.say(0, count_to(99))
        await speaker.frames(1)
        worker.process.terminate()
        assert await status_of(speaker.call) in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
        code, log = await worker.ended()
    assert code == 0, log
    assert "Traceback" not in log


async def test_a_second_signal_ends_it_at_once() -> None:
    async with worker_process("tts", "--models", "scripted:speed=1") as worker, channel_to(worker.address) as channel:
        speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
        await speaker.credit(100_000)
        await speaker.say(0, count_to(99))
        await speaker.frames(1)
        log = worker.process.stderr
        assert log is not None
        worker.process.terminate()
        while b"draining" not in await asyncio.wait_for(log.readline(), LIMIT_S):
            pass
        worker.process.terminate()
        code, _ = await worker.ended()
    assert code == 130


async def test_a_killed_worker_is_seen_and_its_socket_can_be_used_again(tmp_path: Path) -> None:
    listen = f"unix://{tmp_path}/tts.sock"
    async with worker_process("tts", "--models", FAST, listen=listen) as worker, channel_to(worker.address) as channel:
        speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
        await speaker.credit(10)
        await speaker.say(0, count_to(90))
        await speaker.frames(10)
        worker.process.kill()
        assert await status_of(speaker.call) is grpc.StatusCode.UNAVAILABLE
        await worker.process.wait()
        async with worker_process("tts", "--models", FAST, listen=listen) as again:
            assert again.address == listen


SUPERVISOR = textwrap.dedent(
    """
    import os, subprocess, sys
    readable, writable = os.pipe()
    worker = subprocess.Popen(
        [sys.executable, "-m", "antiphon.apps.child", "worker", "tts", "--models", "scripted",
         "--listen", "127.0.0.1:0", "--ready-fd", str(writable)],
        pass_fds=(writable,),
    )
    os.close(writable)
    os.fdopen(readable).readline()
    print(worker.pid, flush=True)
    worker.wait()
    """
)


async def test_no_orphan_survives_its_server() -> None:
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SUPERVISOR, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert server.stdout is not None
    worker = psutil.Process(int(await asyncio.wait_for(server.stdout.readline(), LIMIT_S)))
    server.send_signal(signal.SIGKILL)
    await server.wait()
    await asyncio.to_thread(psutil.wait_procs, [worker], LIMIT_S)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


async def test_over_tls_with_certificates_on_both_sides(tmp_path: Path) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    cert, key, ca = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    authority.cert_pem.write_to_path(str(ca))
    options = ("--tls-cert", str(cert), "--tls-key", str(key), "--tls-ca", str(ca))

    def credentials(signer: trustme.CA) -> grpc.ChannelCredentials:
        client = signer.issue_cert("client.example")
        chain = b"".join(blob.bytes() for blob in client.cert_chain_pems)
        return grpc.ssl_channel_credentials(ca.read_bytes(), client.private_key_pem.bytes(), chain)

    async with worker_process("tts", "--models", FAST, *options) as worker:
        async with channel_to(worker.address, credentials(authority)) as channel:
            speaker = Speaker(SynthesizerStub(channel))  # type: ignore[no-untyped-call]
            await speaker.credit(100_000)
            await speaker.say(0, "Hello.")
            assert decode(pcm_of(await speaker.segment()), MOUTH_RATE_HZ) == "Hello."
            await speaker.close()
        async with channel_to(worker.address, credentials(stranger)) as channel:
            assert await status_of(Speaker(SynthesizerStub(channel)).call) is grpc.StatusCode.UNAVAILABLE  # type: ignore[no-untyped-call]


def options_with(**changes: object) -> WorkerOptions:
    return WorkerOptions(**{"stage": "tts", "models": ("pico",), "listen": "127.0.0.1:0"} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (options_with(stage="vad"), "vad"),
        (options_with(models=()), "--models"),
        (options_with(preload=("espeak",)), "--preload espeak"),
        (options_with(listen="0.0.0.0:7001"), "--insecure"),
        (options_with(listen="nowhere"), "HOST:PORT"),
        (options_with(tls_cert=Path("x")), "--tls-key"),
        (options_with(registry="redis"), "the registry redis: give HOST:PORT"),
        (options_with(device="gpu"), "no device 'gpu'"),
    ],
)
def test_what_cannot_be_used_is_told_plainly(options: WorkerOptions, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        settings_of(options)


@pytest.mark.parametrize(
    ("stage", "model"),
    [("tts", "csm:1b"), ("tts", "xtts:v2"), ("tts", "cosyvoice:folder"), ("asr", "faster-whisper:small")],
)
async def test_engines_that_can_choose_run_on_the_device(stage: str, model: str) -> None:
    settings = settings_of(options_with(stage=stage, models=(model,), device="cuda:7", loudness="off"))
    engine = await settings.stage.make(model)
    assert "cuda:7" in engine.description
    await engine.close()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--models", "pco", "--listen", "127.0.0.1:0"], "pco"),
        (["--models", "scripted", "--listen", "unix:///no/such/folder/w.sock"], "such a folder"),
        (["--models", "scripted", "--listen", "127.0.0.1:0", "--ready-fd", "99"], "--ready-fd 99"),
    ],
)
async def test_a_worker_that_cannot_start_says_why(arguments: list[str], reason: str) -> None:
    command = ["-m", "antiphon", "worker", "tts", *arguments]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stderr=asyncio.subprocess.PIPE, env=os.environ | {"GRPC_VERBOSITY": "NONE"}
    )
    _, err = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode == 2
    assert reason in err.decode()
    assert "Traceback" not in err.decode()
