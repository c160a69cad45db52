"""SparseLinear's time for few rows over the dense layer's, beside what the bytes allow and beside torch's CSR.

Times are CPU times of one thread. In every turn each side runs once, in turn after the dense product of another
layer, so that no side finds its weights in a cache that the dense one's do not fit; a side's time is its median.
Before it is timed a result is compared with the float64 product. The ceiling is the dense weights' bytes over those of
mask and values.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from assay.sparse.unstructured import SparseLinear

SIDE = 4096
TURNS = 15
TOLERANCE = 1e-5
"""Largest error over the largest output: float32 sums of 4096 products differ by about 3e-7 of it."""

Row = dict[str, float]


def measure(
    zeros: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95), batches: tuple[int, ...] = (1, 2, 4, 8)
) -> list[Row]:
    """A row for each share of zeros and batch; raises AssertionError where a result is wrong."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return [each for share in zeros for each in _of_share(share, batches)]
    finally:
        torch.set_num_threads(threads)


def _of_share(share: float, batches: tuple[int, ...]) -> list[Row]:
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
        sides: dict[str, Callable[[], Tensor]] = {
            "dense": lambda x=x: nn.functional.linear(x, dense.weight),
            "sparse": lambda x=x: layer(x),
            "csr": lambda x=x: (csr @ x.T).T,
        }
        errors = {name: _error(sides[name](), x, weight) for name in ("sparse", "csr")}
        assert max(errors.values()) < TOLERANCE, f"{share} zeros, batch {batch}: {errors}"
        times = _times(sides, lambda x=x: nn.functional.linear(x[:1], dense.weight))
        ratio = times["dense"] / times["sparse"]
        rows.append({
            "zeros": share, "batch": batch, "dense_ns": times["dense"], "ratio": ratio, "ceiling": ceiling,
            "share_of_ceiling": ratio / ceiling, "error": errors["sparse"], "csr_ratio": times["dense"] / times["csr"],
        })  # fmt: skip
    return rows


def _error(found: Tensor, x: Tensor, weight: Tensor) -> float:
    wanted = x.double() @ weight.double().T
    return float((found.double() - wanted).abs().max() / wanted.abs().max())


def _times(sides: dict[str, Callable[[], Tensor]], between: Callable[[], Tensor]) -> dict[str, float]:
    samples: dict[str, list[int]] = {name: [] for name in sides}
    for _ in range(TURNS):
        for name, run in sides.items():
            between()
            start = time.thread_time_ns()
            run()
            samples[name].append(time.thread_time_ns() - start)
    return {name: statistics.median(each) for name, each in samples.items()}
