"""From a model with zeros to a smaller one: dead and constant units go until nothing changes.

A unit that nothing reads is dead. One that nothing makes is its bias through an activation: a constant, which the next
layer's bias takes. Only chains are cut, in which each layer's output reaches one other layer through activations,
pooling and flattening, found by tracing and by the shapes of an example. What is uncertain stays, with the reason:
sums, joins, attention, groups, shared layers, and whatever is not known by its exact type.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from assay.core.own_file import words_of
from assay.errors import InputError
from assay.pruning.shrink.folding import fold_normalisation
from assay.pruning.shrink.links import find_links
from assay.pruning.shrink.report import Report, Shrunk
from assay.pruning.shrink.units import find_units, remove_units


def shrink(model: nn.Module, example: Tensor | Sequence[Tensor]) -> Shrunk:
    """A smaller model of the same outputs in evaluation mode; the model itself stays as it is.

    Args:
        model: pruned, one that torch.fx can trace.
        example: what it is called with, a batch.

    Returns the model as a torch.fx.GraphModule with the names of its layers kept, and what went. Outputs agree to
    rounding: sums have fewer terms, and constants and batch normalisation are folded.

    Raises InputError for a model that cannot be traced, or does not run on the example.
    """
    inputs = (example,) if isinstance(example, Tensor) else tuple(example)
    original = copy.deepcopy(model).eval()
    traced = _traced(original, inputs)
    fold_normalisation(traced)
    links, left = find_links(traced)
    dead: Counter[str] = Counter()
    constant: Counter[str] = Counter()
    changed = True
    while changed:
        changed = False
        for link in links:
            units = find_units(traced, link)
            if bool(units.going.any()):
                remove_units(traced, link, units)
                dead[link.producer] += int((units.dead & units.going).sum())
                constant[link.producer] += int((units.constant & units.going).sum())
                changed = True
    for link in links:
        if stay := int(find_units(traced, link).bordered.sum()):
            left[link.producer] = f"{stay} constant units stay: padding makes them differ at borders"
    report = Report(+dead, +constant, left, _size(model), _size(traced), _difference(original, traced, inputs))
    return Shrunk(traced, report)


def _traced(model: nn.Module, inputs: tuple[Tensor, ...]) -> fx.GraphModule:
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:
        raise InputError("torch.fx cannot trace the model", value=words_of(error),
                         rule="its forward branches on no tensor's values",
                         next_step="shrink the parts of it that are chains") from error  # fmt: skip
    try:
        with torch.no_grad():
            model(*inputs)
    except Exception as error:
        raise InputError("the model does not run on the example", value=words_of(error),
                         rule="model(*example) works, with a batch first") from error  # fmt: skip
    with torch.no_grad():
        ShapeProp(traced).propagate(*inputs)
    return traced


def _size(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


@torch.no_grad()
def _difference(original: nn.Module, traced: nn.Module, inputs: tuple[Tensor, ...]) -> float:
    """Of the outputs, in the largest of the original's; of the first one where there are several."""
    a, b = (each(*inputs) for each in (original, traced))
    if not isinstance(a, Tensor):
        a, b = next(iter(a)), next(iter(b))
    largest = float(a.abs().max())
    return float((a - b).abs().max()) / largest if largest else float(b.abs().max())
