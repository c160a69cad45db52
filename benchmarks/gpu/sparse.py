"""Sparse products on a GPU beside the dense ones: block-sparse layers and grouped products, forward and training step.

Every way of a case is checked against float64 first and then timed in turns, in an order drawn for each round: CUDA
events around one call, after a kernel that overwrites the L2 cache. Writes docs/data/gpu-sparse/GPU.json with every
sample and the facts of the device. Run on a machine with an NVIDIA GPU: python -m benchmarks.gpu.sparse
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from assay.errors import AssayError, MachineError
from assay.sparse.functional import block_sparse_mm
from assay.sparse.gpu import support
from assay.sparse.grouped import grouped_mm
from assay.sparse.layout import BlockLayout
from benchmarks.sparse.timing import Times, check

OUTPUT = Path(__file__).resolve().parents[2] / "docs" / "data" / "gpu-sparse"
SCHEMA = 1
ROUNDS = 31
FLUSHES = 8
"""Times that twice L2 is overwritten before a call, some 0.2 ms: meanwhile the host launches, which is not measured."""
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}
"""In units of the largest element: halves round operands' products once and gradients of them again."""
LAYERS = [(rows, 4096, block, density) for rows in (16, 4096) for block in (32, 64) for density in (0.5, 0.25, 0.1)]
"""Rows (decoding and training), features of a square layer, block, share of blocks kept."""
MIXTURES = [(8192, 8, 4096, 1792), (8192, 64, 2048, 1408), (64, 64, 2048, 1408)]
"""Rows, experts, inner and outer features."""
Ways = dict[str, Callable[[], Tensor]]


def device() -> torch.device:
    """The GPU. Raises MachineError where there is none that the kernels run on."""
    if not torch.cuda.is_available():
        raise MachineError(
            "no CUDA device", rule="this benchmark measures on an NVIDIA GPU",
            next_step="run it on a machine with one, with PyTorch's CUDA build",
        )  # fmt: skip
    found = torch.device("cuda", torch.cuda.current_device())
    if not support.usable(torch.empty(1, device=found)):
        raise MachineError(
            "the Triton kernels do not run here", value=torch.cuda.get_device_name(found),
            rule=f"Triton is installed and the compute capability at least {support.OLDEST}",
        )  # fmt: skip
    return found


def facts(place: torch.device) -> dict[str, Any]:
    """What the figures depend on."""
    about = torch.cuda.get_device_properties(place)
    return {
        "gpu": about.name, "capability": [about.major, about.minor], "processors": about.multi_processor_count,
        "memory_bytes": about.total_memory, "l2_bytes": about.L2_cache_size, "torch": torch.__version__,
        "cuda": torch.version.cuda, "triton": support.kernels("block_kernels").triton.__version__,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
    }  # fmt: skip


def layer_ways(place: torch.device, dtype: torch.dtype, case: tuple[int, int, int, float]) -> tuple[Ways, Ways, Tensor]:
    """Forward passes, training steps (whose result is the input's gradient), and the exact forward pass."""
    rows, features, block, density = case
    mask = torch.rand(features // block, features // block, device=place) < density
    layout = BlockLayout.from_mask(mask, features, features, block)
    values = torch.randn(layout.blocks, block, block, device=place, dtype=dtype).requires_grad_()
    x = torch.randn(rows, features, device=place, dtype=dtype).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that its BSR is in beta state
        bsr = torch.sparse_bsr_tensor(layout.row_starts, layout.columns, values.detach(), (features, features))
    weight = bsr.to_dense().requires_grad_()
    products: Ways = {
        "assay": lambda: block_sparse_mm(x, values, layout), "dense": lambda: torch.nn.functional.linear(x, weight),
    }  # fmt: skip
    forward = {name: _inference(call) for name, call in products.items()}
    forward["torch BSR"] = _inference(lambda: torch.nn.functional.linear(x, bsr))
    steps = {name: _step(call, [x, values if name == "assay" else weight]) for name, call in products.items()}
    return forward, steps, x.detach().double() @ weight.detach().double().T


def mixture_ways(
    place: torch.device, dtype: torch.dtype, case: tuple[int, int, int, int]
) -> tuple[Ways, Ways, Tensor]:  # fmt: skip
    """The same of grouped products, by groups of unequal sizes."""
    rows, groups, inner, outputs = case
    counts = torch.bincount(torch.randint(0, groups, (rows,), device=place), minlength=groups)
    ends, sizes = counts.cumsum(0).int(), counts.tolist()
    x = torch.randn(rows, inner, device=place, dtype=dtype).requires_grad_()
    w = torch.randn(groups, inner, outputs, device=place, dtype=dtype).requires_grad_()
    ways: Ways = {
        "assay": lambda: grouped_mm(x, w, offs=ends),
        "loop of dense": lambda: torch.cat([part @ w[i] for i, part in enumerate(x.split(sizes))]),
    }
    if dtype == torch.bfloat16:
        ways["torch grouped_mm"] = lambda: torch.nn.functional.grouped_mm(x, w, offs=ends)
    parts = x.detach().double().split(sizes)
    exact = torch.cat([part @ w[i].detach().double() for i, part in enumerate(parts)])
    forward = {name: _inference(call) for name, call in ways.items()}
    return forward, {name: _step(call, [x, w]) for name, call in ways.items()}, exact


def _inference(call: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def forward() -> Tensor:
        with torch.no_grad():
            return call()

    return forward


def _step(call: Callable[[], Tensor], wanted: list[Tensor]) -> Callable[[], Tensor]:
    def step() -> Tensor:
        y = call()
        return torch.autograd.grad(y, wanted, y.detach())[0]

    return step


def measure(ways: Ways, place: torch.device, rounds: int) -> Times:
    """Seconds of one call on the device, rounds in turns, each with L2 overwritten before."""
    flush = torch.empty(2 * torch.cuda.get_device_properties(place).L2_cache_size, dtype=torch.int8, device=place)
    order, seconds = random.Random(0), {name: [] for name in ways}
    for turn in range(rounds + 3):
        for name in order.sample(list(ways), len(ways)):
            for _ in range(FLUSHES):
                flush.zero_()
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            ways[name]()
            end.record()
            end.synchronize()
            if turn >= 3:  # the first compile kernels and fill PyTorch's memory pool
                seconds[name].append(1e-3 * start.elapsed_time(end))
    return Times(seconds)


def run(place: torch.device, rounds: int) -> list[dict[str, Any]]:
    """Every case's figures."""
    found = []
    kinds = (("layer", layer_ways, LAYERS), ("mixture", mixture_ways, MIXTURES))
    for kind, make, cases in kinds:
        for dtype in (torch.bfloat16, torch.float32):
            for case in cases:
                torch.manual_seed(0)
                forward, steps, exact = make(place, dtype, case)
                for phase, ways in (("forward", forward), ("training step", steps)):
                    reference = exact if phase == "forward" else steps[list(steps)[1]]().double()
                    errors = check(ways, reference, TOLERANCE[dtype])
                    times = measure(ways, place, rounds)
                    ratios = {name: times.ratio(name, "assay") for name in ways if name != "assay"}
                    found.append({"kind": kind, "case": case, "dtype": str(dtype), "phase": phase, "errors": errors,
                                  "seconds": times.seconds, "ratios": ratios})  # fmt: skip
                    print(kind, case, dtype, phase, {name: f"{each[0]:.2f}x" for name, each in ratios.items()})
    return found


def main() -> int:
    """Measures and writes; 3 where the machine has no GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    try:
        place = device()
    except AssayError as error:
        print(error, file=sys.stderr)
        return 3
    about = facts(place)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    path = OUTPUT / f"{about['gpu'].lower().replace(' ', '-')}.json"
    path.write_text(json.dumps({"schema": SCHEMA, "device": about, "cases": run(place, rounds)}) + "\n")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
