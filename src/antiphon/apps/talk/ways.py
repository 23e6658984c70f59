"""The ways to hold a conversation: through devices, through files, by the keyboard."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from antiphon.apps.audio_devices import NoAudioError, SoundDevices, open_devices
from antiphon.apps.microphone import PacedMicrophone
from antiphon.apps.playback import PlaybackBuffer
from antiphon.apps.realtime_client import Connection, append_json
from antiphon.apps.talk.call import Call, Loudspeaker, is_too_early, is_too_late
from antiphon.apps.talk.options import TalkOptions
from antiphon.apps.talk.recording import CallRecording
from antiphon.apps.talk.screen import Screen, TraceScreen
from antiphon.apps.tasks import until_first
from antiphon.audio import WIRE_PCM_RATE_HZ


@contextmanager
def _call(
    client: Connection, loudspeaker: Loudspeaker, options: TalkOptions, console: Console, *, audio: bool = True
) -> Iterator[tuple[Call, Screen | TraceScreen]]:
    """A configured call that is shown on the screen."""
    call = Call(client, loudspeaker, thoughts=options.thoughts, patient=options.thoughts or options.trace)
    call.post({"type": "session.update", "session": options.session(audio=audio)})
    screen = TraceScreen(console) if options.trace else Screen(call.transcript, console)
    try:
        with screen:
            client.listen(lambda each: None if is_too_early(each) or is_too_late(each) else screen.show(each))
            yield call, screen
    finally:
        if call.transcript.conversation and call.transcript.has_items:
            screen.say(f"To go on with it: {options.again(call.transcript.conversation)}")


async def by_devices(client: Connection, options: TalkOptions, console: Console) -> None:
    """Microphone and loudspeaker, until cancelled. Raises NoAudioError, and ClientError when the connection ends."""
    with (
        open_devices(
            options.input_device, options.output_device, microphone=True, cancel_echo=options.cancel_echo
        ) as devices,
        _call(client, devices, options, console) as (call, screen),
    ):
        screen.say("Speak. Ctrl-C ends the conversation.")
        await until_first(call.run(), _send_microphone(client, devices))


async def _send_microphone(client: Connection, devices: SoundDevices) -> None:
    async for frame in devices.frames():
        await client.send_text(append_json(frame))


async def by_file(client: Connection, options: TalkOptions, question: bytes, console: Console) -> None:
    """Plays mono s16 at 24 kHz as the user's voice, waits for the last reply to end, writes both sides.

    Raises ClientError when the connection ends, ConfigError when the file cannot be written.
    """
    loudspeaker = PlaybackBuffer(WIRE_PCM_RATE_HZ)
    recording = CallRecording()
    microphone = PacedMicrophone(client, lambda frame: recording.add(frame, loudspeaker.pull(len(frame))))
    with _call(client, loudspeaker, options, console) as (call, _):

        async def speak() -> None:
            await microphone.speak(question)
            call.stir()
            await call.settle()

        try:
            await until_first(call.run(), microphone.run(), speak())
        finally:
            if options.output_file is not None:
                recording.write(options.output_file)


async def by_keyboard(client: Connection, options: TalkOptions, console: Console) -> None:
    """Typed turns, a line each, until the end of input. The answers are heard where there is a loudspeaker.

    Raises ClientError when the connection ends, ConfigError when the file cannot be written.
    """
    if options.output_file is not None:
        await _type_and_record(client, options, console)
        return
    try:
        with open_devices(None, options.output_device, microphone=False, cancel_echo=False) as devices:
            await _type(client, devices, options, console, audio=True)
    except NoAudioError:
        await _type(client, PlaybackBuffer(WIRE_PCM_RATE_HZ), options, console, audio=False)


async def _type(
    client: Connection, loudspeaker: Loudspeaker, options: TalkOptions, console: Console, *, audio: bool
) -> None:
    with _call(client, loudspeaker, options, console, audio=audio) as (call, screen):
        if not audio:
            screen.say("There is no loudspeaker: answers are written.")
        await until_first(call.run(), _converse_by_lines(call))


async def _type_and_record(client: Connection, options: TalkOptions, console: Console) -> None:
    loudspeaker = PlaybackBuffer(WIRE_PCM_RATE_HZ)
    recording = CallRecording()
    microphone = PacedMicrophone(client, lambda frame: recording.add(frame, loudspeaker.pull(len(frame))))
    with _call(client, loudspeaker, options, console) as (call, _):
        try:
            await until_first(call.run(), microphone.run(), _converse_by_lines(call))
        finally:
            assert options.output_file is not None
            recording.write(options.output_file)


async def _converse_by_lines(call: Call) -> None:
    """Each line is a turn. At a keyboard it interrupts; from a pipe it waits for the answer before it."""
    interactive = sys.stdin.isatty()
    lines = _Lines()
    await call.begun()
    while (line := await lines.next()) is not None:
        if line.strip():
            call.type(line.strip())
            if not interactive:
                await call.settle()
    await call.settle()


class _Lines:
    """The lines of standard input, read by a thread: it may be a file, a pipe or a terminal.

    The thread reads the descriptor itself, for one that waits inside ``sys.stdin`` would trouble the interpreter's end.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        threading.Thread(target=self._read, name="antiphon-stdin", daemon=True).start()

    async def next(self) -> str | None:
        """The next line; None at the end of input."""
        return await self._lines.get()

    def _read(self) -> None:
        rest = b""
        while piece := os.read(sys.stdin.fileno(), 4096):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                self._tell(line.decode(errors="replace"))
        if rest:
            self._tell(rest.decode(errors="replace"))
        self._tell(None)

    def _tell(self, line: str | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._lines.put_nowait, line)
