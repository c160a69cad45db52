"""The Triton kernels compile to machine code for NVIDIA's GPUs, none of which need be here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from assay.sparse.layout import BLOCKS
from tests.gpu.conftest import INSTALLED

ROOT = Path(__file__).parents[2]
SHARED_BYTES = {80: 163 * 1024, 90: 227 * 1024}
"""The most that one program has: CUDA C++ Programming Guide, table of technical specifications."""
SPILLED_BYTES = 32
"""Triton 3.9 keeps 24 bytes of float32's `outer` there on sm_80, and nothing of the others."""
NAMES = ("bfloat16", "float16", "float32")


def compiled(capability, dtype, sides):
    """What compile_ahead.py says, run where Triton is not told to interpret."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), environment.get("PYTHONPATH", "")])
    command = [sys.executable, str(Path(__file__).with_name("compile_ahead.py")), str(capability), dtype]
    command += map(str, sides)
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert said.returncode == 0, said.stderr[-3000:]
    return [json.loads(line) for line in said.stdout.splitlines()]


@pytest.mark.skipif(not INSTALLED, reason="Triton is not installed: pip install assay[gpu]")
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(
    ("dtype", "sides"),
    [("bfloat16", [32]), *(pytest.param(name, BLOCKS, marks=pytest.mark.slow) for name in NAMES)],
)  # fmt: skip
def test_kernels_compile_for_a100_and_h100(capability, dtype, sides):
    found = compiled(capability, dtype, sides)
    assert {each["kernel"] for each in found} == {
        "block_kernels.multiply", "block_kernels.sampled", "block_kernels.transpose", "grouped_kernels.multiply",
        "grouped_kernels.outer",
    }  # fmt: skip
    for each in found:
        assert each["shared_bytes"] <= SHARED_BYTES[capability], each
        halves_multiplied = dtype != "float32" and each["kernel"] != "block_kernels.transpose"
        assert bool(each["tensor_cores"]) == halves_multiplied, each
        if each["weights"] != "torch.int8":
            assert each["spilled_bytes"] <= SPILLED_BYTES, each
