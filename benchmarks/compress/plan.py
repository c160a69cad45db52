"""What is cut, how, and what is claimed of it: fixed here before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assay.claims.quality import Margin
from assay.claims.settings import ClaimSettings, Cost
from assay.compress.settings import STRUCTURED, CompressSettings, Prune, Sparse
from benchmarks.referee.results import ROOT


@dataclass(frozen=True, slots=True)
class Subject:
    """A training of examples/, and how it is trained and judged.

    Args:
        file: its name there.
        steps: of the dense model, and again of both models.
        seeds: how many of each.
        margin: of its score.
        batch: examples in a held-out batch: what throughput is measured on.
        modules: the layers that block sparsity takes.
        units: the layers whose outputs structured pruning takes.
    """

    file: str
    steps: int
    seeds: int
    margin: str
    batch: int
    modules: str
    units: str

    @property
    def path(self) -> str:
        """The training."""
        return str(ROOT / "examples" / self.file)

    @property
    def claim(self) -> ClaimSettings:
        """Latency is claimed; throughput, memory and size are measured with it."""
        return ClaimSettings(margin=Margin.parse(self.margin), costs=(Cost.LATENCY,))


@dataclass(frozen=True, slots=True)
class Cut:
    """One way of cutting a subject: its kind in the chart, how much goes, and the settings that do it."""

    subject: str
    kind: str
    sparsity: float
    settings: CompressSettings

    @property
    def name(self) -> str:
        """What the record calls it."""
        return f"{self.subject}, {self.kind} {self.sparsity:g}"


SUBJECTS = {
    "convolutional": Subject("train_fashion.py", 400, 4, "0.005", 64, "12", ""),
    "transformer": Subject("train_bytes.py", 400, 3, "3%", 8, "*feed_forward*", "*up"),
}
"""The convolutional network's margin is half a point of accuracy."""
SPARSITIES = {
    "structured": (0.75, 0.8, 0.85, 0.9),
    "block": (0.8, 0.9),
    "unstructured": (0.01, 0.9, 0.95, 0.97),
    "local": (0.9, 0.95),
}
"""Of single weights, over all layers or in each (local); of blocks of 32 in the layers that can have them; where
channels go, of those layers' weights. At 1 % folding alone is at work: batch norms go into the layers before them."""


def cuts(subject: str, quick: bool) -> Iterator[Cut]:
    """Every way, the least sparse first."""
    about = SUBJECTS[subject]
    steps, seeds = (20, 1) if quick else (about.steps, about.seeds)
    for kind, sparsities in SPARSITIES.items():
        for sparsity in sparsities[:1] if quick else sparsities:
            if kind == "block":
                settings = CompressSettings(Sparse(sparsity, 32), steps, None, seeds, about.modules)
            else:
                method, modules = (STRUCTURED, about.units) if kind == "structured" else ("magnitude", "")
                scope = "local" if kind == "local" else "global"
                settings = CompressSettings(Prune(sparsity, method, scope), steps, None, seeds, modules)
            yield Cut(subject, kind, sparsity, settings)
