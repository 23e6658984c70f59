"""What a session costs: the load test at 1 and at 50 scripted sessions, and the second as a ratio of the first."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import orjson

from antiphon.apps.loadtest import LoadTestOptions, loadtest
from benchmarks.tables import arguments, save, show

RATIOS = ("jitter_p95_ms", "response_p50_ms", "response_p95_ms", "cpu_s_per_session_minute")


async def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 50])
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        lost = await loadtest(LoadTestOptions(tuple(options.sessions), options.seconds, json_file=path))
        report = orjson.loads(path.read_bytes())
    few, many = report["rows"][0], report["rows"][-1]
    show(
        f"{many['sessions']} sessions against {few['sessions']}",
        ("figure", str(few["sessions"]), str(many["sessions"]), "ratio"),
        [(name, few[name], many[name], many[name] / few[name] if few[name] else float("nan")) for name in RATIOS],
    )
    save(options.json, report)
    return lost


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
