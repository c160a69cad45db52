"""Every family compiles for an H100 ahead of time, without spills at its usual schedule, with tensor cores where it has
products of halves, and with accesses of 16 bytes where rows allow them."""

import importlib.util
import json
import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from assay.core.dtypes import DType
from assay.engineer.triton.families import backward, lookups, losses, norms, pooling, reductions, scans, softmax
from assay.engineer.triton.families.attention import attention
from assay.engineer.triton.families.matmul import Product, matmul
from assay.engineer.triton.families.pointwise import ACTIVATIONS, pointwise
from assay.engineer.triton.products import Precision

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed: pip install assay[gpu]"),
]
ROOT = Path(__file__).parents[3]
SHARED_BYTES = 227 << 10
"""The most that one program has on an H100: CUDA C++ Programming Guide, table of technical specifications."""
ROWS = (None, None)
F32, F16, BF16 = DType.FLOAT32, DType.FLOAT16, DType.BFLOAT16
FAMILIES = {
    **{f"pointwise {name}": partial(pointwise, f, [ROWS], [F32], F32) for name, f in ACTIVATIONS.items()},
    **{f"reduction {name}": partial(reductions.reduction, name, F32, ROWS, (1,)) for name in reductions.REDUCTIONS},
    "reduction first": partial(reductions.reduction, "sum", BF16, ROWS, (0,)),
    "reduction all": partial(reductions.reduction, "max", F16, ROWS, (0, 1)),
    "norm layer": partial(norms.layer_norm, F32, ROWS, residual=True),
    "norm layer halves": partial(norms.layer_norm, BF16, ROWS),
    "norm rms": partial(norms.rms_norm, F16, ROWS),
    "norm group": partial(norms.group_norm, F32, 64, ROWS, 8),
    "norm instance": partial(norms.instance_norm, F32, 64, ROWS),
    "norm batch": partial(norms.batch_norm, F32, 64, ROWS),
    "softmax": partial(softmax.softmax, F32, ROWS, 1),
    "softmax halves": partial(softmax.softmax, F16, ROWS, 1, log=True),
    "softmax first": partial(softmax.softmax, F32, ROWS, 0),
    "cross entropy": partial(softmax.cross_entropy, F32, ROWS, smoothing=0.1, reduction="mean"),
    **{f"loss {name}": partial(losses.loss, name, F32, ROWS, reduction="mean") for name in losses.LOSSES},
    **{f"scan {name}": partial(scans.scan, name, F32, ROWS, 1) for name in scans.SCANS},
    "scan reverse exclusive": partial(scans.scan, "cumsum", F32, ROWS, 1, reverse=True, exclusive=True),
    "scan first": partial(scans.scan, "cumsum", F32, ROWS, 0),
    "pool max": partial(pooling.pool, "max", F32, pooling.Window((3, 3), (2, 2), (1, 1))),
    "pool mean": partial(pooling.pool, "mean", F32, pooling.Window((2, 2, 2), (2, 2, 2), (0, 0, 0))),
    "embedding": partial(lookups.embedding, F32, (1000, 128)),
    "embedding bag": partial(lookups.embedding_bag, F32, (1000, 128), 20, weighted=True),
    "gather": partial(lookups.gather, F32, ROWS, 1),
    "index_add": partial(lookups.index_add, F32, ROWS),
    "backward layer norm": partial(backward.layer_norm_backward, F32, ROWS),
    "backward rms norm": partial(backward.rms_norm_backward, F32, ROWS),
    "backward softmax": partial(backward.softmax_backward, F32, ROWS, 1),
    "backward cross entropy": partial(backward.cross_entropy_backward, F32, ROWS),
    "backward gelu": partial(backward.activation_backward, "gelu", F32, ROWS),
    "matmul float32": partial(matmul, F32, Product(bias=True, activation="gelu")),
    "matmul turned": partial(matmul, F32, Product(batched=True, left_turned=True, right_turned=True)),
    "matmul float16": partial(matmul, F16, Product(bias=True, activation="silu", residual=True)),
    "matmul bfloat16": partial(matmul, BF16, Product(right_turned=True, strided=True)),
    "matmul tf32": partial(matmul, F32, Product(), precision=Precision.TF32),
    "matmul tf32x3": partial(matmul, F32, Product(), precision=Precision.TF32X3),
    "attention float32": partial(attention, F32, 64, causal=True),
    "attention float16": partial(attention, F16, 64, causal=True),
    "attention bfloat16": partial(attention, BF16, 128),
    "attention strided": partial(attention, BF16, 64, causal=True, strided=True),
}  # fmt: skip
"""What makes the file of each family, some in another type or form."""
TENSOR_CORES = ("matmul float16", "matmul bfloat16", "matmul tf32", "matmul tf32x3", "attention float16",
                "attention bfloat16", "attention strided")  # fmt: skip
INT64 = {"softmax": (), "cross entropy": ("in1",), "embedding": ("in0",), "embedding bag": ("in0",), "gather": ("in1",),
         "index_add": ("in1",), "backward cross entropy": ("in2",), "reduction argmax": ("out0",),
         "reduction argmin": ("out0",)}  # fmt: skip


def types_of(name):
    """Element types by tensor; tests of values hold the families to them."""
    halves = {"float16": "float16", "bfloat16": "bfloat16", "halves": "float16", "rms": "float16", "all": "float16",
              "first": "bfloat16", "strided": "bfloat16"}  # fmt: skip
    kind = halves.get(name.split()[-1], "float32") if name not in ("softmax first", "scan first") else "float32"
    kind = {"norm layer halves": "bfloat16", "backward rms norm": "float32"}.get(name, kind)
    found = {f"{role}{i}": kind for role in ("in", "weight", "out") for i in range(5)}
    return found | dict.fromkeys(INT64.get(name, ()), "int64")


def launches_of(source):
    """One of each kernel and tile, with even rows, and the ones with 64-bit places of the first kernel."""
    found = {}
    for index, launch in enumerate(source.plan.launches):
        constants = dict(launch.constants)
        key = (launch.kernel, constants.get("BLOCK"), constants["WIDE"])
        if key not in found or constants["EVEN"]:
            found[key] = index
    return sorted(found.values())


@pytest.fixture(scope="module")
def compiled():
    """What compile_ahead.py says of every family, run where Triton is not told to interpret."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed: pip install assay[gpu]")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), environment.get("PYTHONPATH", "")])
    sources = {name: make() for name, make in FAMILIES.items()}
    entries = [{"text": source.text, "types": types_of(name), "launches": launches_of(source)}
               for name, source in sources.items()]  # fmt: skip
    command = [sys.executable, str(Path(__file__).with_name("compile_ahead.py")), "90"]
    said = subprocess.run(command, input=json.dumps(entries), env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr[-3000:]
    lines = iter([json.loads(line) for line in said.stdout.splitlines()])
    return {name: [next(lines) for _ in entry["launches"]] for name, entry in zip(FAMILIES, entries, strict=True)}


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_family_fits_an_h100_without_spilling(compiled, name):
    for each in compiled[name]:
        assert each["spilled_bytes"] == 0, each
        assert each["shared_bytes"] <= SHARED_BYTES, each


@pytest.mark.parametrize("name", [n for n in FAMILIES if n.startswith(("matmul", "attention"))])
def test_products_use_tensor_cores_unless_float32_has_to_stay_float32(compiled, name):
    assert all(bool(each["tensor_cores"]) == (name in TENSOR_CORES) for each in compiled[name])


WIDEST = ("pointwise gelu", "reduction sum", "norm layer", "softmax", "scan cumsum", "embedding", "matmul float16",
          "attention float16", "backward softmax")  # fmt: skip


@pytest.mark.parametrize("name", WIDEST)
def test_even_rows_are_read_sixteen_bytes_at_once(compiled, name):
    even = [each for each in compiled[name] if each["constants"]["EVEN"]]
    assert even
    assert all(each["widest_bytes"] == 16 for each in even), even
