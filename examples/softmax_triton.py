"""launch.toml
[sizes]
columns = "in0.shape[1]"

# Rows of a multiple of 16 floats are read in wide loads. A row of up to 4,096 stays in registers.
[[launch]]
kernel = "softmax"
when = "columns % 16 == 0 and columns <= 4096"
grid = ["in0.shape[0]"]
arguments = ["in0", "out0", "i32/16 columns"]
constants = { BLOCK = 4096 }
num_warps = 8

[[launch]]
kernel = "softmax"
when = "columns % 16 != 0 and columns <= 4096"
grid = ["in0.shape[0]"]
arguments = ["in0", "out0", "i32 columns"]
constants = { BLOCK = 4096 }
num_warps = 8

[[launch]]
kernel = "softmax_by_blocks"
when = "columns > 4096"
grid = ["in0.shape[0]"]
arguments = ["in0", "out0", "i32 columns"]
constants = { BLOCK = 4096 }
num_warps = 8
"""

# Row softmax for an NVIDIA GPU: assay build examples/softmax_triton.py --task softmax
import triton
import triton.language as tl


@triton.jit
def softmax(x, y, columns, BLOCK: tl.constexpr):
    """A row at a time, kept in registers between its maximum, its sum and its result."""
    start = tl.program_id(0).to(tl.int64) * columns
    at = tl.arange(0, BLOCK)
    inside = at < columns
    values = tl.load(x + start + at, mask=inside, other=float("-inf"))
    powers = tl.exp(values - tl.max(values, 0))
    tl.store(y + start + at, powers / tl.sum(powers, 0), mask=inside)


@triton.jit
def softmax_by_blocks(x, y, columns, BLOCK: tl.constexpr):
    """Any length: maximum and sum in one pass (Milakov and Gimelshein, 2018), the result in another."""
    start = tl.program_id(0).to(tl.int64) * columns
    largest = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, columns, BLOCK):
        at = first + tl.arange(0, BLOCK)
        values = tl.load(x + start + at, mask=at < columns, other=float("-inf"))
        grown = tl.maximum(largest, values)
        known = tl.where(grown == float("-inf"), 0.0, grown)
        total = total * tl.exp(largest - known) + tl.exp(values - known)
        largest = grown
    row_largest = tl.max(largest, 0)
    scale = 1.0 / tl.sum(total * tl.exp(largest - row_largest), 0)
    for first in range(0, columns, BLOCK):
        at = first + tl.arange(0, BLOCK)
        values = tl.load(x + start + at, mask=at < columns)
        tl.store(y + start + at, tl.exp(values - row_largest) * scale, mask=at < columns)
