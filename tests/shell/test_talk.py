"""``talk`` by files and by the keyboard, against a server of scripted engines in a process of its own."""

from __future__ import annotations

import asyncio
import io
import signal
import sys
import threading
import time
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console

from antiphon.apps.realtime_client import ClientError
from antiphon.apps.server_process import LocalServer, local_server
from antiphon.apps.talk import TalkOptions, talk
from antiphon.audio import Samples, samples_of
from antiphon.engines import tone_code
from antiphon.errors import ConfigError

RATE_HZ = 24_000
SCRIPTED = (
    "--vad=scripted:",
    "--asr=scripted:",
    "--llm=scripted:first_token_ms=20,token_ms=5",
    "--tts=scripted:first_audio_ms=20",
)
ANTIPHON_TALK = (sys.executable, "-m", "antiphon", "talk")
LIMIT_S = 60.0
EXIT_LIMIT_S = 2.0


@pytest.fixture
async def server() -> AsyncIterator[LocalServer]:
    async with local_server(SCRIPTED) as running:
        yield running


def say(path: Path, *sayings: tuple[float, str], rate_hz: int = RATE_HZ) -> Path:
    """A recording of what is said, each after a silence in seconds."""
    pcm = b"".join(bytes(int(pause_s * rate_hz) * 2) + tone_code.encode(text, rate_hz) for pause_s, text in sayings)
    with path.open("wb") as stream, wave.open(stream) as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


def sides(path: Path) -> tuple[Samples, Samples]:
    with path.open("rb") as stream, wave.open(stream) as file:
        assert (file.getnchannels(), file.getframerate()) == (2, RATE_HZ)
        both = samples_of(file.readframes(file.getnframes())).reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def first_sound_s(samples: Samples) -> float:
    return float(np.flatnonzero(np.abs(samples.astype(np.int32)) > 500)[0] / RATE_HZ)


def last_sound_s(samples: Samples) -> float:
    return float(np.flatnonzero(np.abs(samples.astype(np.int32)) > 500)[-1] / RATE_HZ)


def paper() -> Console:
    return Console(record=True, width=120, file=io.StringIO())


def real_or_fast(server: LocalServer, question: Path, call: Path, *, fast: bool) -> TalkOptions:
    """By the server in real time, or without it on virtual time."""
    if fast:
        return TalkOptions(input_file=question, output_file=call, fast=True, server_arguments=SCRIPTED)
    return TalkOptions(url=server.url, input_file=question, output_file=call)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("rate_hz", [24_000, 44_100])
async def test_a_call_by_files(server: LocalServer, tmp_path: Path, rate_hz: int, fast: bool) -> None:
    question = say(tmp_path / "user.wav", (0.3, "echo hello you there"), rate_hz=rate_hz)
    call = tmp_path / "call.wav"
    console = paper()
    options = real_or_fast(server, question, call, fast=fast)
    assert await asyncio.wait_for(talk(options, console), LIMIT_S) == 0
    user, agent = sides(call)
    assert tone_code.decode(user.tobytes(), RATE_HZ) == "echo hello you there"
    assert tone_code.decode(agent.tobytes(), RATE_HZ) == "hello you there"
    assert first_sound_s(user) == pytest.approx(0.3, abs=0.05)
    assert first_sound_s(agent) > last_sound_s(user), "the answer comes after the question"
    shown = console.export_text().splitlines()
    assert "  you  echo hello you there" in shown
    assert "agent  hello you there" in shown


@pytest.mark.parametrize("fast", [False, True])
async def test_what_was_cut_is_shown_as_cut(server: LocalServer, tmp_path: Path, fast: bool) -> None:
    question = say(tmp_path / "user.wav", (0.2, "count to 30"), (2.5, "echo stop it now please"))
    call = tmp_path / "call.wav"
    console = paper()
    options = real_or_fast(server, question, call, fast=fast)
    assert await asyncio.wait_for(talk(options, console), LIMIT_S) == 0
    _, agent = sides(call)
    played = tone_code.decode(agent.tobytes(), RATE_HZ)
    assert played.startswith("one two three")
    assert "thirty" not in played
    assert played.endswith("stop it now please")
    (cut,) = (line for line in console.export_text().splitlines() if "[cut: " in line)
    heard = cut.removeprefix("agent  ").partition(" [cut: ")[0]
    before, _, last = heard.rpartition(" ")
    assert played.startswith(f"{before} {last[0]}"), "the captions show as heard what the loudspeaker played"


async def test_a_fast_call_does_not_wait(tmp_path: Path) -> None:
    """A minute of a call, and both runs of it the same to the sample."""
    question = say(tmp_path / "user.wav", (0.5, "count to 9"), (25.0, "echo again"), (30.0, "echo the end"))
    calls = [tmp_path / "one.wav", tmp_path / "two.wav"]
    began_at = time.monotonic()
    for call in calls:
        options = TalkOptions(input_file=question, output_file=call, fast=True, server_arguments=SCRIPTED)
        assert await asyncio.wait_for(talk(options, paper()), LIMIT_S) == 0
    assert time.monotonic() - began_at < 55
    assert calls[0].read_bytes() == calls[1].read_bytes()
    _, agent = sides(calls[0])
    assert tone_code.decode(agent.tobytes(), RATE_HZ) == "one two three four five, six seven eight nine again the end"


class Telling(io.StringIO):
    """A file that tells an event loop when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self.written = asyncio.Event()

    def write(self, text: str) -> int:
        self._loop.call_soon_threadsafe(self.written.set)
        return super().write(text)


@pytest.mark.parametrize("when", ["at once", "in the middle"])
async def test_a_fast_call_can_be_cancelled(tmp_path: Path, when: str) -> None:
    question = say(tmp_path / "user.wav", (0.5, "count to 9"), (600.0, "echo on"))
    options = TalkOptions(input_file=question, fast=True, server_arguments=SCRIPTED)
    screen = Telling()
    talking = asyncio.create_task(talk(options, Console(file=screen)))
    if when == "in the middle":
        await asyncio.wait_for(screen.written.wait(), LIMIT_S)
    else:
        await asyncio.sleep(0)
    talking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(talking, LIMIT_S)
    assert "echo on" not in screen.getvalue()
    assert not any(thread.name == "antiphon-fast-call" for thread in threading.enumerate())


async def test_a_fast_call_needs_no_options_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in SCRIPTED:
        stage, _, engine = part.removeprefix("--").partition("=")
        monkeypatch.setenv(f"ANTIPHON_{stage.upper()}", engine)
    question, console = say(tmp_path / "user.wav", (0.5, "echo hello")), paper()
    assert await asyncio.wait_for(talk(TalkOptions(input_file=question, fast=True), console), LIMIT_S) == 0
    assert "agent  hello" in console.export_text()


async def test_an_engine_that_fast_cannot_have_is_told(tmp_path: Path) -> None:
    question = say(tmp_path / "user.wav", (0.1, "echo hello"))
    with pytest.raises(ConfigError, match="nonsense"):
        await talk(TalkOptions(input_file=question, fast=True, server_arguments=("--asr", "nonsense")), paper())


async def test_typed_turns_from_a_pipe(server: LocalServer, tmp_path: Path) -> None:
    call = tmp_path / "call.wav"
    process = await asyncio.create_subprocess_exec(
        *(*ANTIPHON_TALK, "--url", server.url, "--text", "--out", str(call)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(process.communicate(b"echo one two\n\necho three four\n"), LIMIT_S)
    assert process.returncode == 0
    assert [line.strip() for line in out.decode().splitlines()] == [
        "you  echo one two",
        "agent  one two",
        "you  echo three four",
        "agent  three four",
    ]
    _, agent = sides(call)
    assert tone_code.decode(agent.tobytes(), RATE_HZ) == "one two three four"


async def test_a_conversation_that_was_kept_goes_on(tmp_path: Path) -> None:
    kept = tmp_path / "kept.db"

    async def typed(server: LocalServer, text: bytes, *options: str) -> tuple[list[str], int | None]:
        process = await asyncio.create_subprocess_exec(
            *(*ANTIPHON_TALK, "--url", server.url, "--text", "--out", str(tmp_path / "call.wav"), *options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(text), LIMIT_S)
        return [line.strip() for line in out.decode().splitlines()], process.returncode

    async with local_server((*SCRIPTED, "--sessions", str(kept))) as server:
        said, _ = await typed(server, b"echo one two\n")
        assert said[:2] == ["you  echo one two", "agent  one two"]
        command, name = said[2].rsplit(" ", 1)
        assert command == f"To go on with it: antiphon talk --url {server.url} --conversation"
        said, _ = await typed(server, b"repeat\n", "--conversation", name)
        assert said == ["you  echo one two", "agent  one two", "you  repeat", "agent  one two", f"{command} {name}"]
        told, status = await typed(server, b"", "--conversation", "conv_nobody")
        assert status == 2
        assert "it keeps no such conversation" in " ".join(told)


def test_the_command_that_goes_on_has_the_same_agents() -> None:
    options = TalkOptions(sessions=Path("my file.db"), server_arguments=("--agent", "two.py"))
    told = "antiphon talk --agent two.py --sessions 'my file.db' --conversation conv_1"
    assert options.again("conv_1") == told
    assert TalkOptions(url="http://here:8080").again("conv_1") == (
        "antiphon talk --url http://here:8080 --conversation conv_1"
    )


@pytest.mark.serial  # two seconds on a machine that has nothing else to do
async def test_ctrl_c_ends_it_within_two_seconds_and_leaves_nothing(tmp_path: Path) -> None:
    """With a server of its own, in the middle of a reply; what was said so far is written."""
    question = say(tmp_path / "user.wav", (0.2, "count to 90"), (30.0, "echo later"))
    call = tmp_path / "call.wav"
    process = await asyncio.create_subprocess_exec(
        *(*ANTIPHON_TALK, "--in", str(question), "--out", str(call), *SCRIPTED), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    first = await asyncio.wait_for(process.stdout.readline(), LIMIT_S)
    assert first.decode().strip() == "you  count to 90"
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    pressed_at = time.monotonic()
    process.send_signal(signal.SIGINT)
    rest, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert time.monotonic() - pressed_at < EXIT_LIMIT_S
    assert process.returncode == 130
    assert b"Traceback" not in rest
    assert not any(child.is_running() for child in children)
    user, _ = sides(call)
    assert tone_code.decode(user.tobytes(), RATE_HZ) == "count to 90"


async def test_ctrl_c_ends_a_fast_call_whatever_its_engines_do(tmp_path: Path) -> None:
    """Here one that loads for longer than anybody waits, in a thread."""
    question = say(tmp_path / "user.wav", (0.2, "echo hello"))
    stuck = (
        "import sys, time\n"
        "from antiphon.engines.scripted import ScriptedBrain\n"
        "async def load(self):\n"
        "    import asyncio\n"
        "    print('loading', flush=True)\n"
        "    await asyncio.to_thread(time.sleep, 600)\n"
        "ScriptedBrain.load = load\n"
        "from antiphon.apps.cli import main\n"
        "main()\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", stuck, "talk", "--in", str(question), "--fast", *SCRIPTED),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), LIMIT_S) == b"loading\n"
    process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), LIMIT_S) == 130


async def test_the_end_of_the_server_is_told(tmp_path: Path) -> None:
    question = say(tmp_path / "user.wav", (0.2, "echo hello"), (60.0, "echo never"))
    async with local_server(SCRIPTED) as running:
        talking = asyncio.create_task(talk(TalkOptions(url=running.url, input_file=question), paper()))
        await asyncio.sleep(0.5)
    with pytest.raises(ClientError, match=r"the (conversation|connection) is over"):
        await asyncio.wait_for(talking, LIMIT_S)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (TalkOptions(text=True, input_file=Path("x.wav")), "--text and --in"),
        (TalkOptions(fast=True), "--fast needs --in"),
        (TalkOptions(fast=True, input_file=Path("x.wav"), url="http://h"), "no --url"),
        (TalkOptions(output_file=Path("x.wav")), "--out needs"),
        (TalkOptions(fast=True, input_file=Path("x.wav"), conversation="conv_1"), "keeps no conversations"),
        (TalkOptions(url="http://h", text=True, sessions=Path("kept.db")), "that is started here"),
        (TalkOptions(text=True, output_file=Path("none/x.wav")), "--out none/x.wav: there is no folder none"),
        (TalkOptions(url="http://h", text=True, log=Path("log.txt")), "--log is for a server"),
        (TalkOptions(text=True, log=Path("/no/such/folder/log.txt")), "--log .*cannot be written"),
        (TalkOptions(input_file=Path("none.wav"), url="http://h"), "cannot read none.wav"),
    ],
)
async def test_what_cannot_be_done_is_told_before_anything_starts(options: TalkOptions, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        await talk(options)
