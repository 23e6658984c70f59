"""The two networks that tell speakers apart, as they lie in the library of the ``moonshine-voice`` wheel.

That library carries the models of pyannote's pipeline "speaker-diarization-community-1" in ONNX Runtime's own format:
its segmentation (Bredin and Plaquet; who speaks at the same time, in ten seconds) and WeSpeaker's ResNet34 (Wang and
others; what a voice is like). Its interface gives numbers of speakers within one stream and no embeddings, so a voice
could not be known again: here the networks themselves are used. They are found by their content, which is the same on
every platform, and nothing of the library is run.
"""

from __future__ import annotations

import hashlib
import mmap
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from antiphon.errors import EngineError

_MARK = b"ORTM"
"""Stands four bytes after the start of a model in ONNX Runtime's format."""
_MARK_AT = 4

_LIBRARIES = ("libmoonshine.so", "libmoonshine.dylib", "moonshine.dll")

REINSTALL = "reinstall moonshine-voice 0.0.73"


@dataclass(frozen=True, slots=True)
class Network:
    """How long it is, and its SHA-256."""

    size_bytes: int
    sha256: str


SEGMENTATION = Network(1594080, "9715e3996ef181252aa1cc0c9398060f42b2c984c2fb65e3604262555e2efb1a")
EMBEDDING = Network(6975920, "6e4af7d49562e6e7042672e444d6394935cb2c23c3a7dd4919da45922b91735b")


def library() -> Path:
    """The file that has the networks. Raises EngineError."""
    package = files("moonshine_voice")
    for name in _LIBRARIES:
        if (found := package / name).is_file():
            with as_file(found) as path:
                return path
    raise EngineError(f"the library of moonshine-voice is missing: {REINSTALL}")


def read_network(network: Network, path: Path) -> bytes:
    """The network out of ``path``. Raises EngineError where it is not in there."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = content.find(_MARK)
        while at >= _MARK_AT:
            found = content[at - _MARK_AT : at - _MARK_AT + network.size_bytes]
            if hashlib.sha256(found).hexdigest() == network.sha256:
                return found
            at = content.find(_MARK, at + 1)
    raise EngineError(f"{path.name} does not have the networks that tell speakers apart: {REINSTALL}")
