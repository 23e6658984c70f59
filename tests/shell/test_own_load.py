from __future__ import annotations

import os
import subprocess
import sys
import time

from antiphon.apps.own_load import LOOK_EVERY_S, OwnLoad

_CORES = len(os.sched_getaffinity(0))
_WORK = """
import sys, time
until = time.process_time() + 0.3
while time.process_time() < until: pass
print(flush=True)
sys.stdin.read()
"""


def _work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_what_the_process_took_since_the_last_look() -> None:
    load = OwnLoad()
    assert load.share(100.0) == 0
    _work(0.4)
    took_s = time.process_time()
    share = load.share(101.0)
    assert 0.2 <= share * _CORES <= took_s + 0.2  # the system counts in ticks, and not all of it at once
    assert load.share(101.0 + LOOK_EVERY_S / 2) == share, "it did not look again"
    assert load.share(102.0) < share


def test_workers_count_and_may_be_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", _WORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
        load = OwnLoad(lambda: [worker.pid, 2**22 - 1])
        load.share(100.0)
        assert worker.stdout is not None
        worker.stdout.readline()
        assert load.share(101.0) * _CORES > 0.1
        worker.communicate()
    load.share(102.0)
