"""What the shell itself costs per call: a kernel that does nothing, in the same worker, called the same way."""

from __future__ import annotations

import time

from assay.core.sources import Candidate, Language, SourceFile
from assay.referee.bench import Bench
from assay.referee.protocol.clock import Outcome
from assay.referee.protocol.party import Program
from assay.referee.timing.pairing import Overhead

_CALLS, _WARM_UP = 120, 5
"""The median's own error counts on both sides: with 60 calls it alone cost 4 % of a 350 us call."""

NULL_KERNEL = Candidate(
    "null", Language.CPP,
    (SourceFile("null.cpp", 'extern "C" int assay_kernel(const assay_call*) { return 0; }\n'),), "assay_kernel",
)  # fmt: skip
"""Returns at once; its outputs stay poisoned and are not looked at."""


def measure_overhead(bench: Bench, null_artifact: bytes, *, native: bool) -> tuple[Overhead, float]:
    """What the shell costs a candidate, with the baseline's own; and a fresh worker's milliseconds until it is ready.

    Python parties are called through Python and describe their outputs, which takes some microseconds more than a call
    of native code; each side pays for its own.
    """
    baseline, spawn_ms = null_calls(bench, bench.reference_program("null"))
    if not native:
        return baseline, spawn_ms
    own, spawn_ms = null_calls(bench, bench.candidate_program(NULL_KERNEL, null_artifact))
    return own.beside(baseline), spawn_ms


def null_calls(bench: Bench, program: Program) -> tuple[Overhead, float]:
    """Calls of a program that does nothing, and a fresh worker's milliseconds until it is ready.

    Under a timed call's own conditions, caches included: called again and again at once, it took half as long.
    """
    start = time.monotonic()
    party = bench.party(program)
    spawn_ms = (time.monotonic() - start) * 1e3
    landing = bench.draw_window()
    times = []
    try:
        party.lay_out(bench.windowed)
        for index in range(_WARM_UP + _CALLS):
            bench.land(landing)
            call = party.run(0, 10.0)
            if party.problem is not None or call.outcome is not Outcome.REPLIED:
                raise RuntimeError(f"the null kernel failed: {party.problem or call.outcome}")
            if index >= _WARM_UP:
                times.append(call.wall_ns)
    finally:
        party.close()
    return Overhead.from_null_calls(times), spawn_ms
