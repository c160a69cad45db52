"""What the shell itself costs per call: kernels that do nothing, in workers like the others, called among them.

Called by themselves a moment before, they took 18 us where the same call among a measurement's took 32: the referee's
own code is colder there, another process ran last, and the machine's state drifts by the minute. What a null call is
short of, a kernel that is faster gains: 15 us made 1.300x of a millisecond's work come out as 1.294x.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing

from assay.core.config import Depth
from assay.core.sources import Candidate, Language, SourceFile
from assay.referee.bench import Bench
from assay.referee.protocol.clock import Call, Outcome
from assay.referee.protocol.party import Party, Program
from assay.referee.timing.pairing import FEWEST_NULL_CALLS, Overhead

CALLS = {Depth.FULL: 120, Depth.SCREEN: 12}
"""Of each null kernel in one measurement. The median's own error counts on both sides: with 60 calls it alone cost 4 %
of a 350 us call; a screening accepts nothing."""
_WARM_UP, _TIMEOUT_S = 5, 10.0
_ESTIMATE_CALLS = 20

NULL_KERNEL = Candidate(
    "null", Language.CPP,
    (SourceFile("null.cpp", 'extern "C" int assay_kernel(const assay_call*) { return 0; }\n'),), "assay_kernel",
)  # fmt: skip
"""Returns at once; its outputs stay poisoned and are not looked at."""


NULL_DEVICE_KERNEL = Candidate(
    "null", Language.CUDA,
    (SourceFile("null.cu", '/* launch.toml\n[[launch]]\nkernel = "null"\ngrid = [0]\n*/\n'
                           'extern "C" __global__ void null() {}\n'),), "null",
)  # fmt: skip
"""Launches nothing: what is left is the launcher's own part, copies and the clock."""


def null_programs(bench: Bench, null_artifact: bytes, *, native: bool) -> tuple[Program, ...]:
    """The baseline's null kernel and, where the candidate is native, its own.

    Python parties are called through Python and describe their outputs, which takes some microseconds more than a call
    of native code; each side pays for its own.
    """
    baseline = bench.reference_program("null")
    kernel = NULL_KERNEL if bench.gpu is None else NULL_DEVICE_KERNEL
    return (baseline, bench.candidate_program(kernel, null_artifact)) if native else (baseline,)


class NullCalls:
    """The null kernels of one measurement: a worker for each, called at the places that the measurement draws.

    A context manager. Raises RuntimeError where a null kernel fails, which is Assay's own fault.
    """

    def __init__(self, bench: Bench, programs: Sequence[Program], turns: int) -> None:
        """`turns` is how many the whole measurement has."""
        self._times: list[list[int]] = [[] for _ in programs]
        self._outside: list[list[int]] = [[] for _ in programs]
        self._each_turn = max(1, math.ceil(CALLS[bench.depth] / turns))
        self._parties: list[Party] = []
        self._begun = 0
        try:
            for program in programs:
                start = time.monotonic()
                self._parties.append(bench.party(program))
                self.spawn_ms = (time.monotonic() - start) * 1e3
                """How long the last worker took until it was ready."""
                _warm_up(bench, self._parties[-1])
        except BaseException:
            self.close()
            raise

    @property
    def each_turn(self) -> int:
        """How many calls of null kernels belong to a turn."""
        return self._each_turn * len(self._parties)

    def call(self, index: int, run_seed: int, *, counts: bool) -> None:
        """The turn's `index`-th null call, on inputs that have landed as for any other; kernels take turns to begin."""
        which = (index + self._begun) % len(self._parties)
        if index == self.each_turn - 1:
            self._begun += 1
        call = _call(self._parties[which], run_seed)
        if counts:
            self._times[which].append(call.time_ns)
            self._outside[which].append(call.wall_ns - call.device_ns)

    def overhead(self) -> Overhead | None:
        """What the shell cost the candidate, with the baseline's own; None after too few calls."""
        if min(map(len, self._times)) < FEWEST_NULL_CALLS:
            return None
        found = [Overhead.from_null_calls(times) for times in self._times]
        return found[0] if len(found) == 1 else found[1].beside(found[0])

    def outside_ns(self) -> float | None:
        """The median of what a call of the candidate's null kernel took beside the device's own time."""
        times = sorted(self._outside[-1])
        return float(times[len(times) // 2]) if times else None

    def close(self) -> None:
        """End the workers."""
        for party in self._parties:
            party.close()

    def __enter__(self) -> NullCalls:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def estimate_ns(bench: Bench, program: Program) -> float:
    """About what a null call takes, in nanoseconds: to plan with, not to subtract."""
    with closing(bench.party(program)) as party:
        return float(sorted(_warm_up(bench, party, _ESTIMATE_CALLS))[_ESTIMATE_CALLS // 2])


def _warm_up(bench: Bench, party: Party, calls: int = _WARM_UP) -> list[int]:
    """The first calls of a null kernel's worker, in the layout of a timed window; their nanoseconds."""
    if party.problem is None:
        party.lay_out(bench.windowed)
    landing = bench.draw_window()
    times = []
    for _ in range(calls):
        bench.land(landing)
        times.append(_call(party, landing.run_seed).time_ns)
    return times


def _call(party: Party, run_seed: int) -> Call:
    call = party.run(run_seed, _TIMEOUT_S) if party.problem is None else None
    if call is None or party.problem is not None or call.outcome is not Outcome.REPLIED:
        raise RuntimeError(f"the null kernel failed: {party.problem or (call and call.outcome)}")
    return call
