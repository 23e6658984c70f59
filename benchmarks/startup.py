"""The start: `antiphon --help` against a bare interpreter, `serve` until ready, its memory, the installed size."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import psutil

from antiphon.apps.server_process import local_server
from benchmarks.tables import arguments, save, show

RUNS = 7
MB = 1e6


def wall_s(*command: str) -> float:
    """The median of several runs, after one that warms the caches."""
    times = []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return sorted(times[1:])[RUNS // 2]


async def serve() -> tuple[float, float]:
    """Seconds until ready, and resident megabytes then."""
    async with local_server(("--llm", "alice")) as server:
        return server.start_s, psutil.Process(server.pid).memory_info().rss / MB


def installed_mb() -> float:
    """All that is in site-packages."""
    root = Path(sysconfig.get_paths()["platlib"])
    return sum(path.lstat().st_size for path in root.rglob("*") if path.is_file()) / MB


def main() -> None:
    options = arguments(__doc__).parse_args()
    bare_s, help_s = wall_s("-c", "pass"), wall_s("-m", "antiphon", "--help")
    asyncio.run(serve())
    starts = [asyncio.run(serve()) for _ in range(3)]
    ready_s, rss_mb = sorted(starts)[1]
    rows = {
        "python -c pass, s": bare_s,
        "antiphon --help, s": help_s,
        "antiphon serve until ready, s": ready_s,
        "resident memory when ready, MB": rss_mb,
        "site-packages of this environment, MB": installed_mb(),
    }
    show("Start", ("figure", "value"), list(rows.items()))
    save(options.json, rows)


if __name__ == "__main__":
    main()
