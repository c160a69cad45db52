"""What is to be done to a model, fixed before the first step."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from assay.errors import InputError
from assay.pruning.protocol import Ranked
from assay.pruning.registry import METHODS
from assay.sparse.layout import check_block

_MIXTURE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
FEWEST_STEPS = 20
"""Fewer leave no room for pruning in steps and for training after it."""


SCOPES = ("global", "local")
STRUCTURED = "structured"
"""Whole channels and units go, by the torch-pruning package: no method of masks."""


def check_sparsity(sparsity: float, nine_tenths: str) -> None:
    """Raises InputError for what is no share between none and all."""
    if not 0 < sparsity < 1:
        raise InputError("the sparsity is no share", value=f"{sparsity:g}",
                         rule=f"above 0 and below 1: 0.9 removes {nine_tenths}")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sparse:
    """Linear layers lose this share of their blocks. Raises InputError for what is no share, and no block."""

    sparsity: float
    block: int = 32

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity, "nine blocks of ten")
        check_block(self.block)

    def __str__(self) -> str:
        return f"{self.sparsity:.4g} of the blocks of {self.block} x {self.block} go"


@dataclass(frozen=True, slots=True)
class Mixture:
    """Feed-forward layers become mixtures of experts: so many, so many of them for a token, each so wide.

    Without a width the experts of one token are together half as wide as the dense layer. Raises InputError for
    numbers that are no mixture.
    """

    experts: int
    per_token: int
    width: int | None = None

    def __post_init__(self) -> None:
        if self.experts < 2 or not 1 <= self.per_token <= self.experts or (self.width is not None and self.width < 1):
            raise InputError(
                "this is no mixture of experts", value=str(self),
                rule="two experts at least, from 1 to all of them for a token, and a positive width",
            )  # fmt: skip

    def width_in(self, dense: int) -> int:
        """An expert's width where the dense layer has this one; 0 where there is none."""
        return dense // (2 * self.per_token) if self.width is None else self.width

    @classmethod
    def parse(cls, text: str, width: int | None = None) -> Mixture:
        """`16x2`: sixteen experts, two for each token. Raises InputError for anything else."""
        match = _MIXTURE.fullmatch(text.strip())
        if match is None:
            raise InputError("not a mixture of experts", value=text[:100],
                             rule="experts x experts per token, such as 16x2")  # fmt: skip
        return cls(int(match[1]), int(match[2]), width)

    def __str__(self) -> str:
        return f"{self.experts}x{self.per_token}" + (f", width {self.width}" if self.width is not None else "")


@dataclass(frozen=True, slots=True)
class Prune:
    """Linear layers and convolutions lose this share of their weights, by a method of assay.pruning or as channels.

    `scope` is "global", where a layer with many small weights loses more of them, or "local", where all layers lose the
    same share: only then have small layers, such as convolutions beside a wide linear layer, zeros enough to be faster.

    Raises InputError for what is no share, a method that there is not, and one that ranks nothing layer by layer.
    """

    sparsity: float
    method: str = "magnitude"
    scope: str = "global"

    def __post_init__(self) -> None:
        check_sparsity(self.sparsity, "nine weights of ten")
        if self.method != STRUCTURED and self.method not in METHODS:
            raise InputError("there is no such method of pruning", value=self.method[:100],
                             rule=f"one of: {', '.join([*METHODS, STRUCTURED])}")  # fmt: skip
        ranking = [name for name, entry in METHODS.items() if issubclass(entry.hparams, Ranked)]
        if self.scope not in SCOPES or (self.scope != SCOPES[0] and self.method not in ranking):
            raise InputError("this method has no such scope", value=f"{self.method}, {self.scope}"[:100],
                             rule=f"global, or local for one of: {', '.join(ranking)}")  # fmt: skip

    def __str__(self) -> str:
        where = " of each layer" if self.scope == "local" else ""
        return f"{self.sparsity:.4g} of the weights{where} go, by {self.method}"


@dataclass(frozen=True, slots=True)
class CompressSettings:
    """How a model is made cheaper.

    Args:
        method: what is done to it.
        steps: of the dense model's training, before anything is done to it.
        further: of both models' training after that, on the same batches; None for as many as `steps`.
        seeds: how many times, each from its own initial weights.
        modules: which linear layers, as patterns of their names with commas; empty for the usual choice.

    Raises InputError for settings that cannot give a model.
    """

    method: Sparse | Mixture | Prune
    steps: int = 1000
    further: int | None = None
    seeds: int = 3
    modules: str = ""

    def __post_init__(self) -> None:
        if min(self.steps, self.further_steps) < FEWEST_STEPS:
            raise InputError("these are too few steps", value=f"{self.steps}, then {self.further_steps}",
                             rule=f"{FEWEST_STEPS} at least of either kind")  # fmt: skip
        if not 1 <= self.seeds <= 100:
            raise InputError("these are no seeds", value=str(self.seeds), rule="from 1 to 100 of them")

    @property
    def further_steps(self) -> int:
        """Of both models, after the conversion of one."""
        return self.steps if self.further is None else self.further

    def to_json(self) -> dict[str, Any]:
        """A plain mapping: runs with the same one can go on with each other's work."""
        kind = {Sparse: "sparse", Mixture: "moe", Prune: "prune"}[type(self.method)]
        return {"kind": kind, **asdict(self.method), "steps": self.steps, "further": self.further_steps,
                "seeds": self.seeds, "modules": self.modules}  # fmt: skip
