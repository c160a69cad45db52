"""The Triton kernels of block-sparse products against the dense ones, and their operators' gradients."""

import pytest
import torch

from assay.sparse import ops, reference
from assay.sparse.functional import block_sparse_mm
from assay.sparse.gpu import blocks, support
from assay.sparse.layout import BLOCKS, BlockLayout
from tests.gpu.agreement import agree

SIZES = [(1, 64, 64), (33, 70, 50), (2, 5, 3), (0, 40, 40)]
"""Rows, outputs and inputs: one row, edges that no block divides, a matrix smaller than a block, no rows at all."""


def draw(rows, outputs, inputs, block, dtype=torch.float32, density=0.6, device="cpu"):
    """x, values, layout, gradient and bias."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(-(-outputs // block), -(-inputs // block), generator=generator) < density
    layout = BlockLayout.from_mask(mask, outputs, inputs, block).to(device)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).to(device, dtype)

    return normal(rows, inputs), normal(layout.blocks, block, block), layout, normal(rows, outputs), normal(outputs)


@pytest.mark.parametrize("block", BLOCKS)
def test_products_agree_with_the_dense_ones(device, dtype, block):
    for rows, outputs, inputs in SIZES:
        x, values, layout, g, bias = draw(rows, outputs, inputs, block, dtype, device=device)
        tensors = list(layout.tensors)
        exact = [tensor.double() for tensor in (x, values, g, bias)]
        for stored in (values, ops.packed(values)):
            found = blocks.multiply(x, stored, tensors, outputs, bias)
            agree(found, reference.multiply(exact[0], exact[1], tensors, outputs, exact[3]))
            found = blocks.multiply_transposed(g, stored, tensors, inputs)
            agree(found, reference.multiply_transposed(exact[2], exact[1], tensors, inputs))
            found = blocks.transposed(stored, tensors[4], tensors[5])
            assert torch.equal(found, reference.transposed(values, tensors[4], tensors[5]))
        agree(blocks.sampled(x, g, tensors, block), reference.sampled(exact[0], exact[2], tensors, block))


@pytest.mark.parametrize("rows", [64 * 8, 64 * 9 + 5])
def test_every_tile_of_rows_is_computed_once_they_are_more_than_one_band(device, rows):
    x, values, layout, _, bias = draw(rows, 130, 64, 64, density=1.1, device=device)
    found = blocks.multiply(x, values, list(layout.tensors), 130, bias)
    expected = reference.multiply(x.double(), values.double(), list(layout.tensors), 130, bias.double())
    agree(found, expected)


@pytest.mark.parametrize("block", [8, 64])
def test_int8_values_with_a_scale_for_each_output_agree(device, dtype, block):
    x, values, layout, _, bias = draw(9, 100, 70, block, dtype, device=device)
    values = torch.randint(-127, 128, values.shape, dtype=torch.int8).to(device)
    scales = (torch.rand(100) / 127).to(device, dtype)
    found = blocks.multiply_int8(x, values, scales, list(layout.tensors), 100, bias)
    exact = reference.multiply_int8(
        x.double(), values, scales.double(), list(layout.tensors), 100, bias.double()
    )  # fmt: skip
    agree(found, exact)


@pytest.mark.parametrize("mask", ["empty", "one row empty", "one block"])
def test_any_layout_is_right_and_empty_rows_give_the_bias(device, mask):
    kept = torch.zeros(4, 3, dtype=torch.bool)
    if mask == "one row empty":
        kept[[0, 1, 3]] = True
    elif mask == "one block":
        kept[2, 1] = True
    layout = BlockLayout.from_mask(kept, 64, 48, 16).to(device)
    tensors = list(layout.tensors)
    values, x, bias, g = (
        torch.randn(*shape).to(device) for shape in [(layout.blocks, 16, 16), (5, 48), (64,), (5, 64)]
    )
    y = blocks.multiply(x, values, tensors, 64, bias)
    agree(y, reference.multiply(x.double(), values.double(), tensors, 64, bias.double()))
    empty = ~kept.any(1).repeat_interleave(16).to(device)
    assert torch.equal(y[:, empty], bias[empty].expand(5, -1))
    dx = blocks.multiply_transposed(g, values, tensors, 48)
    agree(dx, reference.multiply_transposed(g.double(), values.double(), tensors, 48))
    agree(blocks.sampled(x, g, tensors, 16), reference.sampled(x.double(), g.double(), tensors, 16))


def test_operands_of_any_strides_are_read_where_they_lie(device):
    x, values, layout, g, bias = draw(12, 70, 50, 16, device=device)
    tensors = list(layout.tensors)
    expected = blocks.multiply(x, values, tensors, 70, bias)
    wide = torch.randn(12, 100, device=device)
    wide[:, 3:53] = x
    assert torch.equal(blocks.multiply(wide[:, 3:53], values, tensors, 70, bias), expected)
    assert torch.equal(blocks.multiply(x.T.contiguous().T, values, tensors, 70, bias), expected)
    spread = bias.new_zeros(140)
    spread[::2] = bias
    assert torch.equal(blocks.multiply(x, values, tensors, 70, spread[::2]), expected)
    sums = blocks.sampled(x.T.contiguous().T, g[:, :1].expand(12, 70), tensors, 16)
    agree(sums, reference.sampled(x.double(), g[:, :1].expand(12, 70).double(), tensors, 16))


def test_nothing_outside_of_the_matrix_reaches_a_result(device):
    x, values, layout, _, bias = draw(6, 24, 40, 32, density=1.1, device=device)
    tensors = list(layout.tensors)
    expected = blocks.multiply(x, values, tensors, 24, bias)
    values[1, :, 8:] = float("nan")  # inputs 40 to 63
    values[:, 24:] = float("nan")  # outputs 24 to 31
    assert torch.equal(blocks.multiply(x, values, tensors, 24, bias), expected)
    x[3, 5] = float("nan")
    y = blocks.multiply(x, values, tensors, 24, bias)
    assert y[3].isnan().all()
    assert torch.equal(y[[0, 1, 2, 4, 5]], expected[[0, 1, 2, 4, 5]])


def test_gradients_of_first_and_second_order_are_the_dense_ones(operators, device):
    x, values, layout, g, bias = draw(5, 45, 34, 16, device=device)
    found, expected = [], []
    for grads, dtype in ((found, torch.float32), (expected, torch.float64)):
        wanted = [tensor.to(dtype).requires_grad_() for tensor in (x, values, bias)]
        tensors = list(layout.tensors)
        y = (
            block_sparse_mm(wanted[0], wanted[1], layout, wanted[2])
            if dtype == torch.float32
            else reference.multiply(wanted[0], wanted[1], tensors, 45, wanted[2])
        )
        first = torch.autograd.grad((y * y * g).sum(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(each.square().sum() for each in first), wanted)
        grads.extend([y, *first, *second])
    for one, other in zip(found, expected, strict=True):
        agree(one.detach() / other.detach().abs().max(), other.detach() / other.detach().abs().max())


def test_types_and_devices_without_kernels_are_left_to_plain_pytorch(device):
    x, values, layout, _, bias = draw(4, 32, 32, 16, torch.float64, device=device)
    assert not support.usable(x)
    found = blocks.multiply(x, values, list(layout.tensors), 32, bias)
    assert torch.equal(found, reference.multiply(x, values, list(layout.tensors), 32, bias))
    assert support.usable(x.float())
    assert not support.usable(torch.empty(1, device="meta"))


def test_float32_is_multiplied_in_tf32_only_where_pytorch_may(device):
    before = torch.get_float32_matmul_precision()
    x = torch.ones(1, device=device)
    try:
        torch.set_float32_matmul_precision("highest")
        assert support.precision(x) == "ieee"
        torch.set_float32_matmul_precision("high")
        assert support.precision(x) == "tf32"
        assert support.precision(x.half()) == "ieee"
    finally:
        torch.set_float32_matmul_precision(before)
