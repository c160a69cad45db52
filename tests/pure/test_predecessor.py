"""What runs before a short call: always the same process on the same inputs, and nothing before long ones."""

from types import SimpleNamespace

import numpy as np
import pytest

from assay.referee.bench import Landing
from assay.referee.protocol.predecessor import LONGEST_NS, Predecessor


class Bench:
    """Remembers what landed; its draws share one block, as the oracle's do."""

    windowed = "layout"

    def __init__(self, problem=None):
        self.block, self.landed, self.parties = np.arange(4, dtype=np.uint8), [], []
        self._problem = problem

    def party(self, program):
        party = SimpleNamespace(
            program=program, problem=self._problem, laid_out=[], called=[], closed=False,
        )  # fmt: skip
        party.lay_out = party.laid_out.append
        party.call = lambda run_seed, timeout_s: party.called.append((run_seed, timeout_s))
        party.close = lambda: setattr(party, "closed", True)
        self.parties.append(party)
        return party

    def draw_window(self):
        return Landing((self.block,), None)

    def land(self, landing):
        self.landed.append([one.tolist() for one in landing.inputs])


def test_it_lands_what_was_drawn_for_it_whatever_is_drawn_later():
    bench = Bench()
    with Predecessor(bench, "baseline", 1e5, 2.0) as predecessor:
        bench.block[:] = 99
        predecessor.run()
        predecessor.run()
    assert bench.landed == [[[0, 1, 2, 3]]] * 2
    party = bench.parties[0]
    assert (party.program, party.laid_out, party.called, party.closed) == ("baseline", ["layout"], [(0, 2.0)] * 2, True)


@pytest.mark.parametrize(("window_ns", "problem"), [(LONGEST_NS * 1.01, None), (1e5, "it does not start")])
def test_nothing_runs_before_long_calls_or_where_the_baseline_does_not_work(window_ns, problem):
    bench = Bench(problem)
    with Predecessor(bench, "baseline", window_ns, 2.0) as predecessor:
        predecessor.run()
    assert bench.landed == []
    assert all(party.closed and not party.called for party in bench.parties)
