"""Where a stopped worker's threads wake up.

A worker is continued by a signal, which wakes all of its threads at once, from the core on which the referee is still
running. On two cores the scheduler then often puts both threads of a kernel on the one idle core, where they take turns
for 4 to 8 ms (a 4 ms softmax took 8 in half of its calls).

Tried and left out: keeping idle cores from halting with a spinning process of the lowest priority. It makes a null call
as quick as on a busy machine (24 instead of 200 us), but doubled a 2 ms softmax on a virtual machine.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def spread(threads: Sequence[int]) -> Iterator[None]:
    """While threads are being woken, each of them on a core of its own; afterwards with the freedom they had before.

    Threads that have gone, or that bound themselves elsewhere, are left alone.
    """
    if len(threads) < 2:
        yield
        return
    before: dict[int, set[int]] = {}
    cores = sorted(os.sched_getaffinity(0))
    for index, thread in enumerate(threads):
        core = cores[index % len(cores)]
        with contextlib.suppress(OSError):
            allowed = os.sched_getaffinity(thread)
            if core in allowed and len(allowed) > 1:
                os.sched_setaffinity(thread, {core})
                before[thread] = allowed
    try:
        yield
    finally:
        for thread, allowed in before.items():
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, allowed)
