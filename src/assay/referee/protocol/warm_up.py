"""Python candidates that compile themselves: once in a throw-away worker, so that no fresh one compiles anew."""

from __future__ import annotations

from dataclasses import replace

from assay.core.sources import Candidate
from assay.referee.bench import Bench, Landing
from assay.referee.correctness import families
from assay.referee.protocol.party import Program

_MARK = "compile"
"""A candidate without this word gets workers that may never start a process, and so no compiler."""
_FIRST_CALL_SECONDS = 180.0
_CALLS = 2


def with_compile_cache(bench: Bench, candidate: Candidate, program: Program) -> Program:
    """The program with what torch.compile cached in a throw-away worker; unchanged where it compiles nothing.

    Its workers may start processes until they are sealed, after their warm-up, and are otherwise confined as ever. A
    candidate that fails here is left to fail where it counts.
    """
    if program.native or not any(_MARK in file.text for file in candidate.files):
        return program
    program = replace(program, sealed_late=True)
    bench.fresh_weights()
    party = bench.party(program)
    try:
        for layout in (bench.timed, *bench.hidden):
            if party.problem is not None:
                return program
            party.lay_out(layout)
            for _ in range(_CALLS):
                if party.problem is None:
                    draw = bench.draw(layout, families.OWN)
                    bench.land(Landing.of(draw))
                    party.call(draw.run_seed, _FIRST_CALL_SECONDS)
        cache = party.save_cache() if party.problem is None else b""
    finally:
        party.close()
    return replace(program, cache=cache)
