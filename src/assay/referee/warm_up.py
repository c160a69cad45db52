"""Python candidates that compile themselves: once with processes allowed, so that no timed worker needs a compiler."""

from __future__ import annotations

from dataclasses import replace

from assay.core.sources import Candidate
from assay.referee import families
from assay.referee.bench import Bench
from assay.referee.party import Program

_MARK = "compile"
"""Only saves time: a candidate that compiles without this word meets a worker that may not start a compiler."""
_FIRST_CALL_SECONDS = 180.0
_CALLS = 2


def with_compile_cache(bench: Bench, candidate: Candidate, program: Program) -> Program:
    """The program with what torch.compile cached in a throw-away worker; unchanged where it compiles nothing.

    The throw-away worker may start processes and is otherwise confined as ever; all of them end with it. A candidate
    that fails there is left to fail where it counts.
    """
    if program.native or not any(_MARK in file.text for file in candidate.files):
        return program
    bench.fresh_weights()
    party = bench.party(replace(program, may_create_processes=True))
    try:
        for layout in (bench.timed, *bench.hidden):
            if party.problem is not None:
                return program
            party.lay_out(layout)
            for _ in range(_CALLS):
                if party.problem is None:
                    draw = bench.draw(layout, families.OWN)
                    bench.land(draw)
                    party.call(draw.run_seed, _FIRST_CALL_SECONDS)
        cache = party.save_cache() if party.problem is None else b""
    finally:
        party.close()
    return replace(program, cache=cache)
