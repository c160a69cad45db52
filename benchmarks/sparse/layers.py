"""Whole layers with their choice of product, beside the best dense way: none may be slower than 0.97x of it."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from assay.sparse import choices
from assay.sparse.linear import BlockSparseLinear
from benchmarks.sparse.products import DENSE, dense_ways
from benchmarks.sparse.timing import check, take_turns

SHAPES = ((128, 128), (256, 1024), (1024, 1024), (1000, 3000), (2048, 2048))
BATCHES = (1, 16, 128)
ZEROS = (0.0, 0.2, 0.5, 0.9)
BLOCK = 32
LAYER = "BlockSparseLinear"


def layer_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """(name, function that gives a row) for every shape, batch and share of zeros, of inference."""
    shapes, batches, zeros = (((128, 128),), (16,), (0.9,)) if quick else (SHAPES, BATCHES, ZEROS)
    for shape, batch, share in itertools.product(shapes, batches, zeros):
        name = f"{shape[0]} x {shape[1]}, batch {batch}, {share:.0%} zeros"
        yield name, lambda s=shape, m=batch, z=share: layer(s, m, z)


def layer(shape: tuple[int, int], batch: int, zeros: float) -> dict[str, Any]:
    """A layer that has just chosen, with an empty cache, and the dense layer of the same weight."""
    torch.manual_seed(0)
    dense = nn.Linear(shape[1], shape[0], bias=False)
    sparse = BlockSparseLinear.from_linear(dense, BLOCK, sparsity=zeros)
    weight, x = sparse.to_dense().detach(), torch.randn(batch, shape[1])
    with tempfile.TemporaryDirectory(prefix="assay-choices-") as home, torch.no_grad():
        os.environ["ASSAY_HOME"], before = home, os.environ.get("ASSAY_HOME")
        try:
            sparse(x)
        finally:
            choices.forget()
            os.environ.pop("ASSAY_HOME")
            if before is not None:
                os.environ["ASSAY_HOME"] = before
        dense.weight.copy_(weight)
        ways = {LAYER: lambda: sparse(x), **dense_ways(x, weight), DENSE[0]: lambda: dense(x)}
        errors = check(ways, x.double() @ weight.double().T)
        times = take_turns(ways)
    best = times.fastest(*DENSE)
    return {
        "shape": shape, "batch": batch, "zeros": zeros, "dense": best, "speedup": times.ratio(best, LAYER),
        "taken": next(iter(sparse.choice.choices.values())).taken, "errors": errors,
        "milliseconds": {name: times.median_ms(name) for name in ways},
    }  # fmt: skip
