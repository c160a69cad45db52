"""What runs just before a timed call, so that every short call is timed after the same thing.

What ran last decides what of PyTorch, Python and the kernel's code lies in the shared caches. On an AMD EPYC a call of
the baseline took 480 us as the first after the oracle, 440 us after the native candidate and 385 us after another
process of the baseline. Sides in secret order suffer alike on average, but the ratio within a turn then scatters by a
fifth, with two or three modes, which a median does not average. With one more process of the baseline before every call
the ratio of the same code to itself scattered by 10 to 17 % from turn to turn instead of 41 to 43 % (row_max, 0.4 ms).
"""

from __future__ import annotations

from assay.referee.bench import Bench, Landing
from assay.referee.protocol.party import Party, Program

LONGEST_NS = 5e6
"""Above that, 90 us of colder code are less than 2 %, and the calls before would cost more than they bring."""


def precedes(window_ns: float) -> bool:
    """Whether the baseline's windows, of about this length, are short enough for it to matter."""
    return window_ns <= LONGEST_NS


class Predecessor:
    """One more process of the baseline, which outlives the rounds; none for windows above `LONGEST_NS`.

    A context manager. It calls what it was given at first again and again, and its results are not looked at.
    """

    def __init__(self, bench: Bench, baseline: Program, window_ns: float, timeout_s: float) -> None:
        """`window_ns` is about what a timed window takes the baseline."""
        self._bench, self._timeout_s = bench, timeout_s
        self._party: Party | None = bench.party(baseline) if precedes(window_ns) else None
        if self._party is not None and self._party.problem is None:
            self._party.lay_out(bench.windowed)
            drawn = bench.draw_window()
            # Copied: the oracle's memory will hold other shapes, whose numbers may be no indices of this one.
            self._landing = Landing(tuple(one.copy() for one in drawn.inputs), None)
            self._run_seed = drawn.run_seed

    def run(self) -> None:
        """One call that nobody times; whatever has landed is overwritten. Nothing where the baseline does not work."""
        if self._party is not None and self._party.problem is None:
            self._bench.land(self._landing)
            self._party.call(self._run_seed, self._timeout_s)

    def close(self) -> None:
        """End the process."""
        if self._party is not None:
            self._party.close()

    def __enter__(self) -> Predecessor:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
