"""Tasks as the emulation needs them: inputs of many kinds at awkward shapes, a float64 reference, an error budget.

The budget follows `assay.referee.correctness.budget`: a floor of some units of rounding that grows with the square root
of the terms, four times the float32 reference's own error, and several times what moving the inputs by one unit does.
"""

from __future__ import annotations

import copy
import importlib.util
import math
import random
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from tests.gpu.corpora import task_path

EPS = 2.0**-23
EDGES = (1, 2, 3, 5, 7, 16, 31, 32, 33, 64, 65, 127, 128, 129, 255, 256, 257, 511, 513, 1000, 1023, 1024, 1025)
_CAP = {torch.float32: 2.0**-9, torch.bfloat16: 2.0**-3}
MOST_ELEMENTS = 12_000
"""Of a drawn shape, so that the emulation takes a fraction of a second."""


@dataclass(frozen=True, slots=True)
class Program:
    """A task's module and the sizes that it allows."""

    name: str
    module: ModuleType
    axes: dict[str, int]
    limits: dict[str, dict[str, int]]

    @classmethod
    def load(cls, name: str) -> Program:
        """A built-in task or one of `tests/gpu/tasks`; both are trusted files of this repository."""
        path = task_path(name)
        spec = importlib.util.spec_from_file_location(f"gpu_task_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return cls(name, module, module.TASK["axes"], module.TASK.get("limits", {}))

    def range(self, axis: str) -> tuple[int, int]:
        """The least and the largest size of an axis."""
        limits = self.limits.get(axis)
        return (limits.get("min", 1), limits["max"]) if limits else (self.axes[axis], self.axes[axis])

    def shapes(self, count: int, seed: int = 0) -> list[dict[str, int]]:
        """The least sizes, each axis at its largest with the others small, and draws from edges of tiles."""
        generator = random.Random(seed)
        ranges = {axis: self.range(axis) for axis in self.axes}
        found = [{axis: low for axis, (low, _) in ranges.items()}]
        for axis, (_, high) in ranges.items():
            small = {other: min(low + 1, top) for other, (low, top) in ranges.items()}
            found.append(small | {axis: high})
        sizes = {a: [low, *(e for e in EDGES if low < e < high)] for a, (low, high) in ranges.items()}
        for _ in range(50 * count):
            if len(found) >= count:
                break
            shape = {axis: generator.choice(choices) for axis, choices in sizes.items()}
            if math.prod(shape.values()) <= MOST_ELEMENTS and shape not in found:
                found.append(shape)
        return found[: max(count, 1)]

    def draw(self, shape: dict[str, int], family: str, seed: int) -> Case:
        """Inputs and weights of a family at a shape, and what they should give."""
        torch.manual_seed(seed)
        inputs = [_changed(value, family) for value in self._inputs(shape)]
        model = self.module.Model()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 0.5 * torch.randn_like(parameter)).add_(0.1 * torch.randn_like(parameter))
        return Case.of(model, inputs, list(model.state_dict().values()))

    def _inputs(self, shape: dict[str, int]) -> list[Any]:
        return list(self.module.get_inputs(**shape))


FAMILIES = ("own", "rows", "ties", "tiny", "large", "negative", "far", "deep", "sparse", "blank", "rising")
"""Kinds of inputs; each changes the task's own real-valued inputs, and leaves indices and masks as they are."""


def _changed(value: Any, family: str) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    kind = value.dtype
    x = value.float()
    match family:
        case "rows":
            first = x.shape[:1] + (1,) * (x.ndim - 1)
            x = x * 2.0 ** torch.randint(-6, 5, first)
        case "ties":
            x = torch.randint(-2, 3, x.shape).float()
        case "tiny":
            x = x * 2.0**-11
        case "large":
            x = x * 24
        case "far":
            x = x + 128
        case "deep":  # below every number that stands in for minus infinity; eight bits of x are left
            x = x * 2.0**16 - 2.0**31
        case "blank":
            x = x * (torch.rand((*x.shape[:-1], 1)) < 0.6).float()
        case "sparse":
            x = torch.where(torch.rand(x.shape) < 0.9, torch.zeros(()), x)
        case "rising":
            x = x.sort(dim=-1).values if x.ndim else x
        case "negative":
            x = -x.abs() - 0.5
    return x.to(kind).contiguous()


@dataclass(slots=True)
class Case:
    """One call: what goes in, what should come out, and what it may err by."""

    inputs: list[Tensor]
    scalars: list[float]
    weights: list[Tensor]
    outputs: list[Tensor]
    expected: list[Tensor]
    granted: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, model: torch.nn.Module, values: list[Any], weights: list[Tensor]) -> Case:
        """The reference in its own type, in float64, and with inputs moved by one unit, decide what is granted."""
        with torch.no_grad():
            outputs = _listed(model(*values))
            exact = _listed(_wide(model)(*[_widened(value) for value in values]))
            moved = _listed(_wide(model)(*[_moved(value) for value in values]))
        case = cls(
            [value for value in values if isinstance(value, Tensor)],
            [float(value) for value in values if not isinstance(value, Tensor)],
            weights, outputs, exact,
        )  # fmt: skip
        terms = max(max(value.shape, default=1) for value in case.inputs)
        case.granted = [_grant(*three, terms) for three in zip(outputs, exact, moved, strict=True)]
        return case

    def specs(self) -> tuple[list[TensorSpec], list[TensorSpec], list[TensorSpec]]:
        """Layouts of inputs, weights and outputs."""
        return _specs(self.inputs), _specs(self.weights), _specs(self.outputs)

    @property
    def decides(self) -> bool:
        """Whether the reference in its own type is within what is granted; else the inputs are too ill-conditioned."""
        return self.excess(self.outputs) <= 1

    def excess(self, got: list[Tensor]) -> float:
        """The largest error over what is granted; infinity for NaN and for a wrong integer."""
        worst = 0.0
        for mine, wanted, granted in zip(got, self.expected, self.granted, strict=True):
            if wanted.numel() == 0:
                continue
            if not wanted.is_floating_point():
                worst = max(worst, 0.0 if torch.equal(mine, wanted) else math.inf)
                continue
            ratio = ((mine.double() - wanted).abs() / granted).nan_to_num(math.inf, math.inf, math.inf)
            same = torch.isinf(wanted) & (mine.double() == wanted)
            worst = max(worst, float(torch.where(same, 0.0, ratio).max()))
        return worst


def _wide(model: torch.nn.Module) -> torch.nn.Module:
    return copy.deepcopy(model).double()


def _widened(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def _moved(value: Any) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    unit = torch.finfo(value.dtype).eps
    sign = torch.where(torch.rand(value.shape) < 0.5, -1.0, 1.0).double()
    return value.double() * (1 + unit * sign)


def _grant(own: Tensor, exact: Tensor, moved: Tensor, terms: int) -> Tensor:
    if not exact.is_floating_point() or exact.numel() == 0:
        return torch.zeros(())
    finite = torch.where(torch.isfinite(exact), exact, 0.0)
    row = finite.square().mean(dim=-1, keepdim=True).sqrt() if exact.ndim > 1 else finite.square().mean().sqrt()
    scale = torch.maximum(torch.maximum(finite.abs(), row), finite.square().mean().sqrt()) + 2.0**-126
    unit = max(torch.finfo(own.dtype).eps, EPS) * scale
    mine = ((own.double() - exact).abs().nan_to_num(0.0, 0.0, 0.0) / unit).max()
    nearby = ((moved - exact).abs().nan_to_num(0.0, 0.0, 0.0) / unit).max()
    floor = (64 + 8 * terms**0.5) * EPS / max(torch.finfo(own.dtype).eps, EPS) + 2
    units = torch.maximum(torch.maximum(4 * mine, (8 + terms**0.5 / 2) * nearby), torch.tensor(floor))
    return torch.minimum(units * unit, _CAP[own.dtype] * scale)


def _listed(found: Any) -> list[Tensor]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _specs(tensors: list[Tensor]) -> list[TensorSpec]:
    return [
        TensorSpec(f"t{i}", DType(str(t.dtype).removeprefix("torch.")), tuple(t.shape), tuple(t.stride()))
        for i, t in enumerate(tensors)
    ]
