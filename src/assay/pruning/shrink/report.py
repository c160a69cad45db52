"""What shrinking a model brought."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, slots=True)
class Report:
    """What went and what did not.

    Args:
        dead: by layer, units that nothing read.
        constant: by layer, units that gave one value, which the next layer's bias has now.
        left: by layer, why units stay that might have gone; every Linear and convolution of which nothing can go is
            among them.
        parameters_before, parameters_after: of the whole model; batch normalisation's folded ones are gone too.
        difference: the largest of the outputs' differences on the example, in the largest output.
    """

    dead: dict[str, int]
    constant: dict[str, int]
    left: dict[str, str]
    parameters_before: int
    parameters_after: int
    difference: float

    def __str__(self) -> str:
        lines = [f"{self.parameters_before} parameters are {self.parameters_after}"]
        for name in dict.fromkeys([*self.dead, *self.constant]):
            went = self.dead.get(name, 0), self.constant.get(name, 0)
            lines.append(f"{name}: {went[0]} dead and {went[1]} constant units went")
        return "\n".join([*lines, *(f"{name}: left, {reason}" for name, reason in self.left.items())])


@dataclass(frozen=True, slots=True)
class Shrunk:
    """The smaller model, in evaluation mode, and the report."""

    model: nn.Module
    report: Report
