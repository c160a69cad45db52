"""Compiles what the launch code launches, for GPUs that are not here: `compile_ahead.py CAPABILITY DTYPE BLOCK...`.

The launch code runs on CPU operands with recorders in the kernels' places; what they were called with is compiled by
Triton down to machine code. Prints a JSON line for each: the kernel, its element type and block, bytes of shared
memory and of registers spilled to memory, and the tensor cores' instructions.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from assay.sparse import ops
from assay.sparse.gpu import blocks, grouped, support
from assay.sparse.layout import BlockLayout

TYPES = {
    torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16", torch.int8: "i8", torch.int32: "i32",
    torch.int64: "i64",
}  # fmt: skip
OPTIONS = ("num_warps", "num_stages")
KERNELS = {"block_kernels": ("multiply", "sampled", "transpose"), "grouped_kernels": ("multiply", "outer")}
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


class Recorder:
    """In a kernel's place: keeps what it is launched with."""

    def __init__(self, kernel, calls):
        self.kernel, self.calls = kernel, calls

    def __getitem__(self, grid):
        return lambda *arguments, **choices: self.calls.append((self.kernel, arguments, choices))


def source(kernel, arguments, choices):
    """The kernel specialised as Triton does at a launch: ones are constants, and multiples of 16 are known as such."""
    signature, constants, known = {}, {}, {}
    for number, name in enumerate(kernel.arg_names):
        value = arguments[number] if number < len(arguments) else choices[name]
        if number >= len(arguments) or value is None or (isinstance(value, int) and value == 1):
            signature[name], constants[(number,)] = "constexpr", value
            continue
        tensor = isinstance(value, torch.Tensor)
        signature[name] = f"*{TYPES[value.dtype]}" if tensor else "i32"
        if tensor or value % 16 == 0:
            known[(number,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, constants, known)


def launch_blocks(dtype, block):
    """Every product once, on operands of ordinary sizes."""
    layout = BlockLayout.from_mask(torch.ones(512 // block, 256 // block, dtype=torch.bool), 512, 256, block)
    tensors = list(layout.tensors)
    x, g, bias = (torch.empty(*shape, dtype=dtype) for shape in [(1024, 256), (1024, 512), (512,)])
    values = ops.packed(torch.empty(layout.blocks, block, block, dtype=dtype))
    blocks.multiply(x, values, tensors, 512, bias)
    blocks.multiply_int8(x[:3], values.to(torch.int8), bias, tensors, 512, None)
    blocks.multiply_transposed(g, values, tensors, 256)
    blocks.sampled(x, g, tensors, block)
    blocks.transposed(values, tensors[4], tensors[5])


def launch_grouped(dtype):
    """With and without an index and a bias, a matrix and its transpose, large groups and small ones."""
    x, ends, index = torch.empty(2048, 256, dtype=dtype), torch.empty(8, dtype=torch.int32), torch.empty(4096).long()
    w, bias = torch.empty(8, 256, 512, dtype=dtype), torch.empty(8, 512, dtype=dtype)
    grouped.multiply(x, w, ends, index, bias)
    grouped.multiply(x[:64], w.transpose(1, 2).contiguous().transpose(1, 2), ends)
    grouped.outer(x, torch.empty(4096, 512, dtype=dtype), ends, index)


def record(dtype, sides):
    """What a GPU is asked to run: (kernel, arguments, choices)."""
    calls = []
    blocks.usable = grouped.usable = lambda x: True
    for name, kernels in KERNELS.items():
        module = support.kernels(name)
        for kernel in kernels:
            setattr(module, kernel, Recorder(getattr(module, kernel), calls))
    for side in sides:
        launch_blocks(dtype, side)
    launch_grouped(dtype)
    return calls


def spilled_bytes(binary):
    """Of registers that the machine code keeps in memory."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [TOOLS / "cuobjdump", "--dump-resource-usage", file.name]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(re.search(r"STACK:(\d+)", said).group(1))


def main(capability, dtype, sides):
    for kernel, arguments, choices in record(dtype, sides):
        options = {name: choices[name] for name in OPTIONS if name in choices}
        target = GPUTarget("cuda", capability, 32)
        made = triton.compile(source(kernel, arguments, choices), target=target, options=options)
        found = {
            "kernel": f"{kernel.__module__.rpartition('.')[2]}.{kernel.__name__}",
            "dtype": str(arguments[0].dtype),
            "weights": str(arguments[1].dtype),
            "block": choices.get("BLOCK"),
            "shared_bytes": made.metadata.shared,
            "spilled_bytes": spilled_bytes(made.asm["cubin"]),
            "tensor_cores": sorted(set(re.findall(r"(?:wgmma\.mma_async|mma\.sync)[.\w]*", made.asm["ptx"]))),
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), getattr(torch, sys.argv[2]), [int(side) for side in sys.argv[3:]])
