"""SparseLinear's time for few rows over the dense layer's, beside what the bytes allow and beside torch's CSR.

The ceiling is the dense weights' bytes over those of mask and values: a product of one row is bound by bytes. Calls
that follow each other find in the cache what fits it (4096 x 4096 from about 60 % zeros in 32 MB, never the dense
weights), so every ratio is taken once more with calls that each follow a dense product, whose 64 MB have displaced
everything, code included.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from assay.sparse.unstructured import SparseLinear
from benchmarks.sparse.timing import ROUNDS, Call, check, take_turns

SIDE = 4096


ZEROS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BATCHES = (1, 2, 4, 8, 32)


def unstructured_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """(name, function that gives the rows of every batch) for every share of zeros."""
    for share in ZEROS[-1:] if quick else ZEROS:
        yield f"{share:.0%} zeros", lambda share=share: {"batches": of_share(share, BATCHES[:1] if quick else BATCHES)}


@torch.inference_mode()
def of_share(share: float, batches: tuple[int, ...]) -> list[dict[str, Any]]:
    """A row for each batch. Raises WrongResult where a result is not the float64 one."""
    torch.manual_seed(0)
    dense = nn.Linear(SIDE, SIDE, bias=False)
    layer = SparseLinear.from_linear(dense, mask=torch.rand(SIDE, SIDE) >= share)
    weight = layer.to_dense()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch says once that CSR is in beta
        csr = weight.to_sparse_csr()
    ceiling = weight.nbytes / (layer.mask.nbytes + layer.values.nbytes)
    rows = []
    for batch in batches:
        x = torch.randn(batch, SIDE)
        ways: dict[str, Call] = {"sparse": partial(layer, x), "csr": partial(lambda x: (csr @ x.T).T, x)}
        errors = check(ways, x.double() @ weight.double().T)
        ways["dense"] = partial(dense, x)
        times = take_turns(ways)
        ratio, low, high = times.ratio("dense", "sparse")
        rows.append({
            "zeros": share, "batch": batch, "dense_ms": times.median_ms("dense"), "ratio": ratio, "low": low,
            "high": high, "ceiling": ceiling, "share_of_ceiling": ratio / ceiling, "cold_ratio": _cold_ratio(ways),
            "error": errors["sparse"], "csr_ratio": times.ratio("dense", "csr")[0],
        })  # fmt: skip
    return rows


def _cold_ratio(ways: dict[str, Call]) -> float:
    """Dense over sparse, single calls after a dense one; the median of rounds."""
    ratios = []
    for _ in range(ROUNDS):
        taken = {}
        for name in ("dense", "sparse"):
            ways["dense"]()
            started = time.thread_time_ns()
            ways[name]()
            taken[name] = time.thread_time_ns() - started
        ratios.append(taken["dense"] / taken["sparse"])
    return float(np.median(ratios))
