"""``antiphon talk``: a conversation in the terminal, through devices, files or the keyboard."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from rich.console import Console

from antiphon.apps.audio_devices import check_devices, list_devices
from antiphon.apps.finish import EXIT_INTERRUPTED, leave_after
from antiphon.apps.realtime_client import connect
from antiphon.apps.server_process import local_server
from antiphon.apps.talk.fast import by_file_fast
from antiphon.apps.talk.options import TalkOptions
from antiphon.apps.talk.ways import by_devices, by_file, by_keyboard
from antiphon.apps.wav import read_wav
from antiphon.audio import WIRE_PCM_RATE_HZ, ms_to_bytes

PAUSE_BETWEEN_FILES_MS = 1500
"""Long enough for an answer to begin."""


async def talk(options: TalkOptions, console: Console | None = None) -> int:
    """Holds the conversation until it is over or Ctrl-C; returns the exit code, 0, or 130 after Ctrl-C.

    Raises AntiphonError: no device, no server, a file that cannot be read or written.
    """
    console = console or Console()
    if options.list_devices:
        console.print("\n".join(list_devices()), highlight=False, markup=False)
        return 0
    options.check()
    question = _question(options)
    if question is None and not options.text:
        check_devices(options.input_device, options.output_device)  # before a server is started in vain
    with _interruptible(hard=options.fast) as interrupted:
        try:
            if options.fast and question is not None:
                await by_file_fast(options, question, console)
            else:
                await _over_a_socket(options, question, console)
        except asyncio.CancelledError:
            if not interrupted():
                raise
            return EXIT_INTERRUPTED
    return 0


def _question(options: TalkOptions) -> bytes | None:
    """What is spoken from files; None for another way to speak."""
    if options.input_file is None:
        return None
    pause = bytes(ms_to_bytes(PAUSE_BETWEEN_FILES_MS, WIRE_PCM_RATE_HZ))
    return pause.join(read_wav(path, WIRE_PCM_RATE_HZ) for path in (options.input_file, *options.further_files))


async def _over_a_socket(options: TalkOptions, question: bytes | None, console: Console) -> None:
    async with (
        _server(options, console) as url,
        connect(url, options.api_key, conversation=options.conversation) as client,
    ):
        if question is not None:
            await by_file(client, options, question, console)
        elif options.text:
            await by_keyboard(client, options, console)
        else:
            await by_devices(client, options, console)


@contextmanager
def _interruptible(*, hard: bool) -> Iterator[Callable[[], bool]]:
    """Ctrl-C cancels the current task, so that all is ended in order; the function says whether it did.

    ``hard``: models are loaded in this process, which may hold it up. Then it ends anyhow.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    pressed = asyncio.Event()

    def interrupt() -> None:
        pressed.set()
        task.cancel()
        if hard:
            leave_after(code=EXIT_INTERRUPTED)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        yield pressed.is_set
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        if pressed.is_set():
            task.uncancel()


@asynccontextmanager
async def _server(options: TalkOptions, console: Console) -> AsyncIterator[str]:
    """The address of the server that is asked for, or of one of our own."""
    if options.url is not None:
        yield options.url
        return
    kept = () if options.sessions is None else ("--sessions", str(options.sessions))
    status = console.status("starting a server")
    status.start()
    try:
        async with local_server((*options.server_arguments, *kept), options.log) as server:
            status.stop()
            yield server.url
    finally:
        status.stop()
