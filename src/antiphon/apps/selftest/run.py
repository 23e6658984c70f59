"""Runs the self-test: a server of our own, the conversation, the verdict."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from rich.console import Console

from antiphon.apps.output_file import check_folder
from antiphon.apps.realtime_client import ClientError
from antiphon.apps.selftest.caller import calling
from antiphon.apps.selftest.cast import hearings, rehearse
from antiphon.apps.selftest.measures import word_error_rate, word_errors
from antiphon.apps.selftest.report import Report
from antiphon.apps.selftest.scenario import STEPS, Stage
from antiphon.apps.selftest.table import print_report, print_summary
from antiphon.apps.server_process import LocalServer, local_server
from antiphon.apps.terminal import wide_console
from antiphon.core.speech import Voice
from antiphon.core.text import words_of
from antiphon.engines.base import Recognizer, Synthesizer
from antiphon.engines.moonshine import Moonshine
from antiphon.engines.pico import PicoSynthesizer
from antiphon.errors import ConfigError

CALLER_VOICES = ("en-GB", "en-US")
"""Of the second voice: the first that is not the agent's. Of the embedded ones it is recognized best."""

MAX_REPLY_WER = 0.4
"""Between a reply's text and what the recognizer hears in its audio: it writes some numbers and names otherwise."""
MAX_CUT_WORDS = 2
"""How many words the context of a reply that was cut within a word may differ from what is recognized in its audio."""

HEALTH_LIMIT_S = 5.0
PICTURE_WIDTH = 96


Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SelfTestOptions:
    """``server_arguments`` go to the server that it starts; ``url`` names one that runs instead."""

    url: str | None = None
    api_key: str | None = None
    server_arguments: tuple[str, ...] = ()
    json_file: Path | None = None
    svg_file: Path | None = None


async def selftest(options: SelfTestOptions, console: Console | None = None) -> int:
    """Runs it, prints the report, writes the files that are asked for; returns the exit code, 0 when all passed.

    Raises AntiphonError when the server or an engine of the caller cannot be started.
    """
    console = console or wide_console()
    check_folder("--json", options.json_file)
    check_folder("--svg", options.svg_file)
    began_at = asyncio.get_running_loop().time()
    recognizer, second_voice = Moonshine(), PicoSynthesizer()
    try:
        with _progress(console) as progress:
            await second_voice.load()
            listening = asyncio.create_task(recognizer.load())
            try:
                stage = await _hold_conversation(options, second_voice, progress)
                await listening
            finally:
                listening.cancel()
            progress("listening to the replies again")
            await _check_replies(stage, recognizer)
    finally:
        await second_voice.close()
        await recognizer.close()
    stage.report.total_s = asyncio.get_running_loop().time() - began_at
    print_report(stage.report, console)
    _write_files(stage.report, options)
    return 0 if stage.report.passed else 1


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """Says what is being done: in one line that changes, or where it is no terminal a line for each."""
    if not console.is_terminal:
        yield lambda message: console.print(message, highlight=False)
        return
    with console.status("starting") as status:
        yield status.update


async def _hold_conversation(options: SelfTestOptions, second_voice: Synthesizer, progress: Progress) -> Stage:
    """Goes through all steps; one that fails is a failed check, and the next one is tried."""
    report = Report()
    progress("starting the server" if options.url is None else "calling the server")
    async with _server(options) as server, calling(server.url, options.api_key) as call:
        report.server = server.url
        report.ready_s = server.start_s if server.pid else None
        health = await _health(server.url)
        report.engines, report.processes = _engines(health), _processes(health)
        agents_voice = str(call.session.get("audio", {}).get("output", {}).get("voice"))
        voice = next(name for name in CALLER_VOICES if not agents_voice.endswith(name))
        stage = Stage(call, await rehearse(second_voice, Voice(voice)), report)
        for number, (name, step) in enumerate(STEPS, start=1):
            progress(f"{number} of {len(STEPS)}: {name}")
            try:
                await step(stage)
            except ClientError as error:
                report.check(f"{name}: goes through", False, str(error))
                if call.client.ended.done():
                    break
        return stage


@asynccontextmanager
async def _server(options: SelfTestOptions) -> AsyncIterator[LocalServer]:
    if options.url is not None:
        yield LocalServer(options.url, pid=0, start_s=0.0)
    else:
        async with local_server(options.server_arguments) as server:
            yield server


async def _health(url: str) -> dict[str, Any]:
    """What the server says of itself; nothing when it does not."""
    limit = aiohttp.ClientTimeout(total=HEALTH_LIMIT_S)
    try:
        async with aiohttp.ClientSession(timeout=limit) as http, http.get(f"{url.rstrip('/')}/health") as response:
            health = await response.json()
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return {}
    return health if isinstance(health, dict) else {}


def _engines(health: dict[str, Any]) -> dict[str, str]:
    """Which engine serves each stage."""
    return {str(stage): str(engine) for stage, engine in health.get("engines", {}).items()}


def _processes(health: dict[str, Any]) -> dict[str, int]:
    """The server's process and those of its workers, where there are any on its machine."""
    pids = {str(worker["name"]): worker["pid"] for worker in health.get("workers", []) if worker.get("pid")}
    return {"server": health["pid"], **pids} if pids and "pid" in health else {}


async def _check_replies(stage: Stage, recognizer: Recognizer) -> None:
    """Recognizes the agent's speech, and compares it with what the agent says that it said."""
    for name, answer in stage.replies:
        if not answer.audio.pcm:
            continue
        heard = await _nearest(recognizer, answer.transcript, answer.audio.pcm)
        wer = word_error_rate(answer.transcript, heard)
        detail = f"word error rate {wer:.0%} (at most {MAX_REPLY_WER:.0%})"
        if wer > MAX_REPLY_WER:
            detail += f": {answer.transcript!r} sounds like {heard!r}"
        stage.report.check(f"{name}: speech is the text", wer <= MAX_REPLY_WER, detail)
    if stage.cut is not None:
        context, pcm = stage.cut
        heard = await _nearest(recognizer, context, pcm)
        allowed = MAX_CUT_WORDS + round(MAX_REPLY_WER * len(words_of(context)))
        errors = word_errors(context, heard)
        detail = f"the audio says {heard!r}, {errors} words off (at most {allowed})"
        stage.report.check("barge-in: context is what was played", errors <= allowed, detail)


async def _nearest(recognizer: Recognizer, text: str, pcm: bytes) -> str:
    """The hearing of ``pcm`` that is nearest to ``text``."""
    return min(await hearings(recognizer, pcm), key=lambda heard: word_errors(text, heard))


def _write_files(report: Report, options: SelfTestOptions) -> None:
    try:
        if options.json_file is not None:
            options.json_file.write_bytes(orjson.dumps(report.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
        if options.svg_file is not None:
            picture = Console(record=True, width=PICTURE_WIDTH, file=io.StringIO(), force_terminal=True)
            print_summary(report, picture)
            picture.save_svg(str(options.svg_file), title="antiphon selftest")
    except OSError as error:
        raise ConfigError(f"cannot write the report: {error}") from error
