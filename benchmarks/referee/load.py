"""A load generator: processes that keep every core busy, pinned, and gone when the block ends or this process dies."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_BUSY = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
os.sched_setaffinity(0, {int(sys.argv[1])})
x = 1
while True:
    x = (x * 6364136223846793005 + 1) % (1 << 64)
"""
_SETTLE_SECONDS = 1.0


@contextmanager
def busy(each_core: int) -> Iterator[int]:
    """`each_core` busy processes on every usable core; yields how many run."""
    cores = sorted(os.sched_getaffinity(0))
    running = [
        subprocess.Popen([sys.executable, "-S", "-c", _BUSY, str(core)], stdin=subprocess.DEVNULL)
        for core in cores
        for _ in range(each_core)
    ]
    try:
        time.sleep(_SETTLE_SECONDS)
        yield len(running)
    finally:
        for process in running:
            process.kill()
        for process in running:
            process.wait()
