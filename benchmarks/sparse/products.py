"""Block-sparse products beside every dense and sparse product that PyTorch has, forward and as a training step."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from assay.sparse import ops, reference
from assay.sparse.layout import BlockLayout
from benchmarks.sparse.timing import Call, Times, WrongResult, check, take_turns

FEATURES = 2048
BLOCKS = (32, 64, 16, 8)
ZEROS = (0.5, 0.8, 0.9, 0.95, 0.99)
BATCHES = (1, 8, 64, 512)
OWN, OWN_FULL = "assay", "assay, no zeros"
DENSE = ("F.linear", "oneDNN, prepacked")
TORCH_BSR, TORCH_CSR = "torch BSR", "torch CSR"


def forward_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """(name, function that gives a row) for every block, batch and share of zeros."""
    batches, blocks, zeros = ((8,), (32,), (0.9,)) if quick else (BATCHES, BLOCKS, ZEROS)
    for block, batch, share in itertools.product(blocks, batches, zeros):
        yield f"block {block}, batch {batch}, {share:.0%} zeros", lambda b=block, m=batch, z=share: forward(b, m, z)


def training_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """The same for a step: forward, both gradients."""
    batches, blocks, zeros = ((64,), (32,), (0.9,)) if quick else ((64, 512), BLOCKS, ZEROS[:-1])
    for block, batch, share in itertools.product(blocks, batches, zeros):
        yield f"block {block}, batch {batch}, {share:.0%} zeros", lambda b=block, m=batch, z=share: training(b, m, z)


def forward(block: int, batch: int, zeros: float) -> dict[str, Any]:
    """One product y = x W^T of 2048 x 2048."""
    x, layout, values, full, every = operands(block, batch, zeros)
    weight = reference.dense(values, list(layout.tensors), FEATURES, FEATURES).contiguous()
    sparse, competing = torch_formats(weight, block), {}
    ways = {
        OWN: lambda: torch.ops.assay.block_sparse_mm(x, values, list(layout.tensors), FEATURES, None),
        **dense_ways(x, weight),
        **{name: lambda matrix=matrix: (matrix @ x.T).T for name, matrix in sparse.items()},
    }
    exact = x.double() @ weight.double().T
    errors = {}
    for name, way in ways.items():
        try:
            errors |= check({name: way}, exact)
            competing[name] = way
        except (RuntimeError, WrongResult) as error:
            errors[name] = str(error)[:200]
    if OWN not in competing:
        raise WrongResult(str(errors[OWN]))
    competing[OWN_FULL] = lambda: torch.ops.assay.block_sparse_mm(x, full, list(every.tensors), FEATURES, None)
    return row(take_turns(competing), layout, batch, errors, values.element_size())


def training(block: int, batch: int, zeros: float) -> dict[str, Any]:
    """The product and the gradients of x and W; PyTorch's BSR has no backward, its CSR a dense one."""
    x, layout, values, full, every = operands(block, batch, zeros)
    weight = reference.dense(values, list(layout.tensors), FEATURES, FEATURES).contiguous()
    slope = torch.randn(batch, FEATURES)
    x, values, full, weight = (tensor.requires_grad_() for tensor in (x, values, full, weight))

    def own(stored: Tensor, of: BlockLayout) -> tuple[Tensor, ...]:
        y = torch.ops.assay.block_sparse_mm(x, stored, list(of.tensors), FEATURES, None)
        return torch.autograd.grad(y, (x, stored), slope)

    def dense() -> tuple[Tensor, ...]:
        return torch.autograd.grad(functional.linear(x, weight), (x, weight), slope)

    exact_x = slope.double() @ weight.detach().double()
    exact_values = reference.sampled(x.detach().double(), slope.double(), list(layout.tensors), block)
    errors = {
        f"{OWN}: dX": check({OWN: lambda: own(values, layout)[0]}, exact_x)[OWN],
        f"{OWN}: dW": check({OWN: lambda: own(values, layout)[1]}, exact_values)[OWN],
    }
    times = take_turns({OWN: lambda: own(values, layout), DENSE[0]: dense, OWN_FULL: lambda: own(full, every)})
    return row(times, layout, batch, errors, values.element_size())


def operands(block: int, batch: int, zeros: float) -> tuple[Tensor, BlockLayout, Tensor, Tensor, BlockLayout]:
    """x, a layout with exactly this share of zero blocks drawn at random, values, and the same without zeros."""
    torch.manual_seed(0)
    side = FEATURES // block
    mask = torch.zeros(side * side, dtype=torch.bool)
    mask[torch.randperm(side * side)[: round((1 - zeros) * side * side)]] = True
    layout = BlockLayout.from_mask(mask.view(side, side), FEATURES, FEATURES, block)
    every = BlockLayout.from_mask(torch.ones(side, side, dtype=torch.bool), FEATURES, FEATURES, block)

    def values(of: BlockLayout) -> Tensor:
        return ops.packed(torch.randn(of.blocks, block, block))

    return torch.randn(batch, FEATURES), layout, values(layout), values(every), every


def dense_ways(x: Tensor, weight: Tensor) -> dict[str, Call]:
    """PyTorch's product, which packs the weight in every call, and oneDNN's with a weight packed before."""
    library = torch.ops.mkldnn
    packed = library._reorder_linear_weight(weight.detach(), x.shape[0])
    return {
        DENSE[0]: lambda: functional.linear(x, weight),
        DENSE[1]: lambda: library._linear_pointwise(x, packed, None, "none", [], ""),
    }


def torch_formats(weight: Tensor, block: int) -> dict[str, Tensor]:
    """PyTorch's own sparse formats of the matrix."""
    return {TORCH_BSR: weight.to_sparse_bsr((block, block)), TORCH_CSR: weight.to_sparse_csr()}


def row(times: Times, layout: BlockLayout, batch: int, errors: dict[str, Any], size: int) -> dict[str, Any]:
    """What the table shows of one case."""
    best = times.fastest(*(name for name in (*DENSE, OWN_FULL) if name in times.seconds))
    speedup = times.ratio(best, OWN)
    limit, bound = ceiling(layout, batch, size)
    return {
        "block": layout.block, "batch": batch, "zeros": 1 - layout.density, "dense": best,
        "milliseconds": {name: times.median_ms(name) for name in times.seconds},
        "speedup": speedup, "ceiling": limit, "bound": bound, "share": speedup[0] / limit,
        "over": {name: times.ratio(name, OWN) for name in times.seconds if name != OWN},
        "own_full_over_linear": times.ratio(DENSE[0], OWN_FULL), "errors": errors,
        "rounds": dict(times.seconds),
    }  # fmt: skip


def ceiling(layout: BlockLayout, batch: int, size: int) -> tuple[float, str]:
    """How many times less there is to do: operations, or bytes where a batch below 8 makes them the bound.

    At 8 rows and more a weight that is read once from the L2 or L3 cache meets enough products to hide the reading.
    """
    operations = 1 / layout.density
    if batch >= 8:
        return operations, "operations"
    rows, columns = layout.shape
    dense = rows * columns * layout.block**2 * size
    return dense / (layout.blocks * (layout.block**2 * size + 8)), "bytes"
