"""Lets the torchaudio of the package index work beside a PyTorch without CUDA: `make develop`.

Its compiled libraries ask for those of CUDA, and it cannot be imported without them. It can without its own: what they
have is not needed here. Nothing is done where PyTorch has CUDA, or torchaudio is a build that does not ask for it.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path

ASKED = b"libtorch_cuda.so"


def useless_libraries(packages: Path) -> list[Path]:
    """torchaudio's libraries in a site-packages that cannot be loaded there."""
    torch = packages / "torch"
    if not torch.is_dir() or list((torch / "lib").glob("libtorch_cuda*")):
        return []
    found = (packages / "torchaudio" / "lib").glob("*torchaudio*.so")
    return [library for library in found if ASKED in library.read_bytes()]


if __name__ == "__main__":
    for library in useless_libraries(Path(sysconfig.get_path("platlib"))):
        print(f"Taking away {library.name}: it needs CUDA, which this PyTorch does not have")
        library.unlink()
