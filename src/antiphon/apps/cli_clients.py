"""The commands that converse with a server: ``talk``, ``selftest`` and ``loadtest``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from antiphon.apps.cli_options import (
    BRAIN,
    AgentName,
    ApiKey,
    Asr,
    JsonFile,
    Listening,
    Llm,
    Model,
    SpeakTool,
    Tts,
    Url,
    Vad,
    WaitK,
    engine_arguments,
    listening_arguments,
)
from antiphon.apps.finish import finish
from antiphon.errors import ConfigError


def talk(
    url: Url = None,
    api_key: ApiKey = None,
    input_file: Annotated[
        Path | None, Option("--in", help="Speak a WAV file instead of the microphone.", metavar="FILE")
    ] = None,
    output_file: Annotated[
        Path | None, Option("--out", help="Write the call to a WAV file: user left, agent right.", metavar="FILE")
    ] = None,
    fast: Annotated[bool, Option("--fast", help="With --in: do not wait for real time to pass.")] = False,
    text: Annotated[bool, Option("--text", help="Type the turns, a line each.")] = False,
    list_devices: Annotated[bool, Option("--list-devices", help="Print the audio devices, and exit.")] = False,
    input_device: Annotated[str | None, Option(help="The microphone, by name or number.")] = None,
    output_device: Annotated[str | None, Option(help="The speakers, by name or number.")] = None,
    cancel_echo: Annotated[bool, Option(help="Cancel the echo of the speakers in the microphone.")] = True,
    voice: Annotated[str | None, Option(help="The voice that answers.")] = None,
    instructions: Annotated[str | None, Option(help="What the language model is told to be.")] = None,
    agent: AgentName = None,
    conversation: Annotated[
        str | None, Option(help="Go on with a conversation that the server has kept.", metavar="ID")
    ] = None,
    sessions: Annotated[
        Path | None, Option(help="Keep the conversation in this file, to go on with it later.", metavar="FILE")
    ] = None,
    log: Annotated[
        Path | None, Option(help="Write the log of the server that is started to this file.", metavar="FILE")
    ] = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
    listening: Listening = None,
    wait_k: WaitK = None,
    speak_tool: SpeakTool = None,
    thoughts: Annotated[
        bool, Option("--thoughts", help="Show what it keeps private, too.", rich_help_panel=BRAIN)
    ] = False,
) -> None:
    """Converse in the terminal: microphone and speakers, a file, or typed turns."""
    from antiphon.apps.logs import logging_to
    from antiphon.apps.talk import TalkOptions
    from antiphon.apps.talk import talk as run

    options = TalkOptions(
        url=url,
        api_key=api_key,
        input_file=input_file,
        output_file=output_file,
        fast=fast,
        text=text,
        list_devices=list_devices,
        input_device=input_device,
        output_device=output_device,
        cancel_echo=cancel_echo,
        voice=voice,
        instructions=instructions,
        agent=None if url is None else agent,
        conversation=conversation,
        sessions=sessions,
        log=log,
        thoughts=thoughts,
        server_arguments=(
            *engine_arguments(vad=vad, asr=asr, llm=llm, model=model, tts=tts, agent=agent if url is None else None),
            *listening_arguments(listening=listening, wait_k=wait_k, speak_tool=speak_tool, thoughts=thoughts),
        ),
    )
    with logging_to(sys.stderr, log_level="warning"):  # with --fast the agent and its tools are in this process
        code = finish(run(options))
    raise typer.Exit(code)


def juno(
    preset: Annotated[
        str, Option(help="What it is told to be: a preset's name, or a file like those.", metavar="NAME|FILE")
    ] = "juno",
    input_file: Annotated[
        list[Path] | None,
        Option("--in", help="Speak WAV files, one after the other, instead of the microphone.", metavar="FILE"),
    ] = None,
    output_file: Annotated[
        Path | None, Option("--out", help="Write the call to a WAV file: user left, agent right.", metavar="FILE")
    ] = None,
    input_device: Annotated[str | None, Option(help="The microphone, by name or number.")] = None,
    output_device: Annotated[str | None, Option(help="The speakers, by name or number.")] = None,
    wait_k: WaitK = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
) -> None:
    """Converse with a model that listens while you speak, and see who transcribes, thinks, speaks and stops."""
    from antiphon.apps.presets import preset_file
    from antiphon.apps.talk import TalkOptions
    from antiphon.apps.talk import talk as run

    files = tuple(input_file or ())
    options = TalkOptions(
        input_file=files[0] if files else None,
        further_files=files[1:],
        output_file=output_file,
        input_device=input_device,
        output_device=output_device,
        trace=True,
        server_arguments=(
            *("--config", str(preset_file(preset))),
            *engine_arguments(asr=asr, llm=llm, model=model, tts=tts),
            *listening_arguments(wait_k=wait_k),
        ),
    )
    raise typer.Exit(finish(run(options)))


def selftest(
    url: Url = None,
    api_key: ApiKey = None,
    json_file: JsonFile = None,
    svg_file: Annotated[Path | None, Option("--svg", help="A file to draw the table into.", metavar="FILE")] = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
) -> None:
    """Prove a conversation and a barge-in on this machine, without a microphone, and show how fast it is."""
    from antiphon.apps.selftest import SelfTestOptions
    from antiphon.apps.selftest import selftest as run

    options = SelfTestOptions(
        url=url,
        api_key=api_key,
        server_arguments=engine_arguments(vad=vad, asr=asr, llm=llm, model=model, tts=tts),
        json_file=json_file,
        svg_file=svg_file,
    )
    raise typer.Exit(finish(run(options)))


def loadtest(
    sessions: Annotated[str, Option(help="How many at a time, a row for each.", metavar="N,N,...")] = "1,10,50",
    seconds: Annotated[float, Option(help="How long each row takes.")] = 60.0,
    url: Url = None,
    api_key: ApiKey = None,
    json_file: JsonFile = None,
    vad: Vad = None,
    asr: Asr = None,
    llm: Llm = None,
    model: Model = None,
    tts: Tts = None,
) -> None:
    """Measure sessions against cost and latency: the capacity of this machine. The engines are scripted ones."""
    from antiphon.apps.loadtest import LoadTestOptions
    from antiphon.apps.loadtest import loadtest as run

    options = LoadTestOptions(
        sessions=_numbers(sessions),
        seconds=seconds,
        url=url,
        api_key=api_key,
        server_arguments=engine_arguments(vad=vad, asr=asr, llm=llm, model=model, tts=tts),
        json_file=json_file,
    )
    raise typer.Exit(finish(run(options)))


def _numbers(text: str) -> tuple[int, ...]:
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1:
        raise ConfigError(f"--sessions {text}: give whole numbers from 1 on, separated by commas")
    return numbers
