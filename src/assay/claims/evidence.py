"""What measuring two models brought, before anything is concluded from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assay.claims.samples import Samples
from assay.claims.settings import Cost
from assay.core.verdicts import Finding


@dataclass(slots=True)
class Evidence:
    """Raw results. Pairs are (dense, cheap).

    `losses` has for each side and seed the loss of every held-out example; `batch` says which batch an example is of.
    `again` are differences between the cheap model's loss in a later timed call, alone or in a batch, and its first one
    of the same example. `operations` are what each model's own process counts, or why it cannot.
    """

    losses: tuple[list[list[float]], list[list[float]]] = field(default_factory=lambda: ([], []))
    batch: list[int] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    samples: Samples = field(default_factory=Samples)
    operations: list[int | str] = field(default_factory=list)
    absent: dict[Cost, str] = field(default_factory=dict)
    causal_checks: int = 0
    layers: tuple[str, ...] = ()
    findings: list[Finding] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The part of it that a verdict can be computed from again."""
        return {
            "losses": {"dense": self.losses[0], "cheap": self.losses[1]}, "batch": self.batch, "again": self.again,
            "samples": self.samples.to_json(), "absent": {cost.value: why for cost, why in self.absent.items()},
            "causal_checks": self.causal_checks, "findings": [finding.to_json() for finding in self.findings],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Evidence:
        """The inverse, without layers and operations; raises ValueError, KeyError or TypeError for anything else."""
        sides = tuple([[float(loss) for loss in seed] for seed in data["losses"][side]] for side in ("dense", "cheap"))
        return cls(
            losses=(sides[0], sides[1]), batch=[int(number) for number in data["batch"]],
            again=[float(each) for each in data["again"]], samples=Samples.from_json(data["samples"]),
            absent={Cost(cost): str(why) for cost, why in data["absent"].items()},
            causal_checks=int(data["causal_checks"]),
            findings=[Finding.from_json(finding) for finding in data["findings"]],
        )  # fmt: skip
