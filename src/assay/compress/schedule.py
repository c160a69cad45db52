"""When weights go while a model trains: the cubic schedule of Zhu and Gupta (arXiv 1710.01878, section 3).

At first all are kept, then the sparsity rises fast, and slower as less is left. After the first half of the steps it
stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

_PRUNING_SHARE = 0.5
_MOST_CHANGES = 30
"""Each change may cost something: a new layout is timed against the dense product, some milliseconds a layer."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`final` is the sparsity at the end, `steps` are those of the whole phase."""

    final: float
    steps: int

    @property
    def end(self) -> int:
        """The step from which on nothing goes."""
        return max(round(_PRUNING_SHARE * self.steps), 1)

    def sparsity(self, step: int) -> float:
        """From 0 at the first step to `final` at `end`."""
        left = 1 - min(step / self.end, 1.0)
        return self.final * (1 - left**3)

    def changes_at(self, step: int) -> bool:
        """Whether anything goes before this step."""
        return 0 < step <= self.end and (step == self.end or step % -(-self.end // _MOST_CHANGES) == 0)
