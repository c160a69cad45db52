"""Calls of a fresh process that do not count, until it takes no new memory any more.

The allocator keeps what is freed, yet the first dozen results of a Python side each got pages never touched before
(8 MB: 2048 faults, 2 to 20 ms), in bursts with quiet calls between them; nothing of that is the kernel's own work.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from assay.machine.clocks import minor_faults
from assay.referee.protocol.clock import Call
from assay.referee.protocol.oracle_client import Array
from assay.referee.protocol.party import Party

_LEAST_CALLS, _MOST_CALLS = 12, 32
"""glibc's per-thread cache parks seven small pieces between the large ones, so that it takes eleven calls until freed
results lie beside each other and serve again (seen in glibc 2.36, one and three results a call alike)."""
_QUIET_CALLS, _QUIET_FAULTS = 3, 16
_LONGEST_S = 0.3
"""A slow task has settled less; its page faults are a smaller share of a call."""
_FEWEST_CALLS = 2


def settle(party: Party, run_seed: int, timeout_s: float) -> Iterator[tuple[Call, tuple[Array, ...] | None]]:
    """Call `party` on the inputs that have landed; yields each call with its outputs, for they are verified like any.

    Stops early where `party.problem` tells why.
    """
    started, quiet, before = time.monotonic(), 0, minor_faults(party.child.pid)
    for count in range(1, _MOST_CALLS + 1):
        yield party.call(run_seed, timeout_s)
        if party.problem is not None:
            return
        now = minor_faults(party.child.pid)
        quiet = quiet + 1 if now - before <= _QUIET_FAULTS else 0
        before = now
        enough = count >= _LEAST_CALLS and quiet >= _QUIET_CALLS
        if enough or (count >= _FEWEST_CALLS and time.monotonic() - started > _LONGEST_S):
            return
