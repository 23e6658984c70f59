"""Writes src/antiphon/v1 from proto/antiphon/v1: `python scripts/generate_proto.py [FOLDER]`."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
PROTOS = ROOT / "proto"
WITHOUT_SERVICES = ("models",)
"""Their gRPC modules would hold nothing."""


def generate(folder: Path) -> list[Path]:
    """Writes all modules under ``folder``, which stands for ``src``; returns them. Raises RuntimeError."""
    sources = sorted(PROTOS.glob("antiphon/v1/*.proto"))
    folder.mkdir(parents=True, exist_ok=True)
    outputs = [f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")]
    well_known = str(files("grpc_tools") / "_proto")
    if protoc.main(["protoc", f"-I{PROTOS}", f"-I{well_known}", *outputs, *map(str, sources)]):
        raise RuntimeError("protoc failed; it says above why")
    target = folder / "antiphon" / "v1"
    for name in WITHOUT_SERVICES:
        (target / f"{name}_pb2_grpc.py").unlink()
    return sorted(target.glob("*_pb2*"))


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "src")
