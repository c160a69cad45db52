"""The block-sparse operators against a dense product: every instruction set, block, type and awkward size."""

import pytest
import torch

from assay.errors import InputError
from assay.sparse import ops, reference
from assay.sparse.functional import block_sparse_mm
from assay.sparse.layout import BLOCKS, BlockLayout

SIZES = [(1, 64, 64), (7, 200, 130), (33, 70, 50), (300, 64, 129), (2, 5, 3)]
"""Rows, outputs and inputs: one row, tails of tiles, edges that no block divides, a matrix smaller than a block."""
ROUNDING = {torch.float32: 2e-4, torch.float64: 1e-11}
"""Sums of up to 300 products of normal numbers."""


def draw(rows, outputs, inputs, block, dtype=torch.float64, density=0.5, seed=0):
    """x, values, layout, gradient and bias."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(-(-outputs // block), -(-inputs // block), generator=generator) < density
    layout = BlockLayout.from_mask(mask, outputs, inputs, block)

    def normal(*shape):
        return torch.randn(*shape, dtype=dtype, generator=generator)

    return normal(rows, inputs), normal(layout.blocks, block, block), layout, normal(rows, outputs), normal(outputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("block", BLOCKS)
def test_products_agree_with_the_dense_ones(instruction_set, block, dtype):
    for rows, outputs, inputs in SIZES:
        x, values, layout, g, bias = draw(rows, outputs, inputs, block, dtype)
        tensors = list(layout.tensors)
        found = torch.ops.assay.block_sparse_mm(x, values, tensors, outputs, bias)
        torch.testing.assert_close(
            found, reference.multiply(x, values, tensors, outputs, bias), atol=ROUNDING[dtype], rtol=0
        )
        found = torch.ops.assay.block_sparse_sampled(x, g, tensors, block)
        torch.testing.assert_close(found, reference.sampled(x, g, tensors, block), atol=ROUNDING[dtype], rtol=0)
        found = torch.ops.assay.block_transpose(values, tensors[4], tensors[5])
        torch.testing.assert_close(found, reference.transposed(values, tensors[4], tensors[5]), atol=0, rtol=0)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_rows_or_block_rows_and_agree(instruction_set, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for rows in (5, 700):
            x, values, layout, g, _ = draw(rows, 320, 96, 32)
            tensors = list(layout.tensors)
            found = torch.ops.assay.block_sparse_mm(x, values, tensors, 320, None)
            torch.testing.assert_close(found, reference.multiply(x, values, tensors, 320, None))
            found = torch.ops.assay.block_sparse_sampled(x, g, tensors, 32)
            torch.testing.assert_close(found, reference.sampled(x, g, tensors, 32))
    finally:
        torch.set_num_threads(before)


def test_int8_values_with_a_scale_for_each_output_agree(instruction_set):
    x, _, layout, _, bias = draw(9, 100, 70, 16, torch.float32)
    values = torch.randint(-127, 128, (layout.blocks, 16, 16), dtype=torch.int8)
    scales = torch.rand(100) / 127
    tensors = list(layout.tensors)
    found = torch.ops.assay.block_sparse_mm_int8(x, values, scales, tensors, 100, bias)
    dense = reference.dense(values.double(), tensors, 100, 70) * scales.double()[:, None]
    torch.testing.assert_close(found.double(), x.double() @ dense.T + bias.double(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("mask", ["empty", "one row empty", "one block", "full"])
def test_any_layout_is_right_and_empty_rows_give_the_bias(instruction_set, mask):
    kept = torch.zeros(4, 3, dtype=torch.bool)
    if mask == "one row empty":
        kept[[0, 1, 3]] = True
    elif mask == "one block":
        kept[2, 1] = True
    elif mask == "full":
        kept[:] = True
    layout = BlockLayout.from_mask(kept, 4 * 16, 3 * 16, 16)
    values, x, bias = torch.randn(layout.blocks, 16, 16), torch.randn(5, 48), torch.randn(64)
    y = block_sparse_mm(x, values, layout, bias)
    torch.testing.assert_close(y, reference.multiply(x, values, list(layout.tensors), 64, bias), atol=1e-4, rtol=0)
    empty = ~kept.any(1).repeat_interleave(16)
    assert torch.equal(y[:, empty], bias[empty].expand(5, -1))


def test_no_rows_give_no_rows_and_gradients_of_zero(instruction_set):
    x, values, layout, _, _ = draw(0, 64, 64, 32)
    values.requires_grad_()
    y = block_sparse_mm(x, values, layout)
    y.sum().backward()
    assert y.shape == (0, 64)
    assert not values.grad.any()


def test_strided_inputs_and_more_dimensions_are_read_where_they_lie():
    x, values, layout, _, bias = draw(12, 70, 50, 16)
    expected = block_sparse_mm(x, values, layout, bias)
    wide = torch.randn(12, 100, dtype=torch.float64)
    wide[:, 3:53] = x
    assert torch.equal(block_sparse_mm(wide[:, 3:53], values, layout, bias), expected)
    assert torch.equal(block_sparse_mm(x.T.contiguous().T, values, layout, bias), expected)
    assert torch.equal(block_sparse_mm(x.view(3, 4, 50), values, layout, bias), expected.view(3, 4, 70))
    assert block_sparse_mm(x[0], values, layout, bias).shape == (70,)


@pytest.mark.parametrize("block", [8, 32])
def test_gradients_of_every_order_agree_with_finite_differences(block):
    x, values, layout, _, bias = draw(3, 2 * block - 3, block + 2, block, density=0.8)
    wanted = [tensor.requires_grad_() for tensor in (x, values, bias)]

    def product(x, values, bias):
        return block_sparse_mm(x, values, layout, bias)

    assert torch.autograd.gradcheck(product, wanted, fast_mode=True)
    assert torch.autograd.gradgradcheck(product, wanted, fast_mode=True)


def test_the_operators_are_registered_as_pytorch_wants_them():
    x, values, layout, g, bias = draw(4, 40, 24, 8)
    tensors = list(layout.tensors)
    x, values, g = (tensor.requires_grad_() for tensor in (x, values, g))
    torch.library.opcheck(torch.ops.assay.block_sparse_mm.default, (x, values, tensors, 40, bias))
    torch.library.opcheck(torch.ops.assay.block_sparse_sampled.default, (x, g, tensors, 8))
    torch.library.opcheck(torch.ops.assay.block_transpose.default, (values, tensors[4], tensors[5]))


def test_half_precision_is_computed_in_float32():
    x, values, layout, _, bias = draw(6, 48, 64, 16, torch.float32)
    found = block_sparse_mm(x.bfloat16(), values.bfloat16(), layout, bias.bfloat16())
    exact = block_sparse_mm(x.bfloat16().float(), values.bfloat16().float(), layout, bias.bfloat16().float())
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.bfloat16())


def test_autocast_keeps_the_type_of_the_values():
    x, values, layout, _, bias = draw(6, 48, 64, 16, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert block_sparse_mm(x.bfloat16(), values, layout, bias).dtype == torch.float32


def test_packed_values_are_not_copied_and_others_give_the_same():
    x, values, layout, _, bias = draw(6, 48, 64, 16)
    packed = ops.packed(values)
    assert torch.equal(packed, values)
    assert ops.packed(packed).data_ptr() == packed.data_ptr()
    assert torch.equal(block_sparse_mm(x, packed, layout, bias), block_sparse_mm(x, values, layout, bias))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, v, b: (x[:, :-1], v, b), "input does not fit"),
        (lambda x, v, b: (x, v[1:], b), "values do not fit the layout"),
        (lambda x, v, b: (x, v, b[1:]), "bias does not fit"),
        (lambda x, v, b: (x.half(), v, b), "several types"),
        (lambda x, v, b: (x.long(), v.long(), b.long()), "no block-sparse product of this type"),
    ],
)
def test_operands_that_do_not_fit_are_named(change, words):
    x, values, layout, _, bias = draw(4, 48, 64, 16)
    x, values, bias = change(x, values, bias)
    with pytest.raises(InputError, match=words):
        block_sparse_mm(x, values, layout, bias)


def test_nan_and_infinity_go_where_a_dense_product_puts_them(instruction_set):
    x, values, layout, _, _ = draw(30, 64, 64, 32, torch.float32, density=1.1)
    x[3, 5], x[4, 6] = float("nan"), float("inf")
    y = block_sparse_mm(x, values, layout)
    assert y[3].isnan().all()
    assert y[4].isinf().all()
    assert y[[0, 1, 2, 5]].isfinite().all()
