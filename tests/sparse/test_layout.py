"""Layouts: what they are made of, their transposes, and what is refused."""

import pytest
import torch

from assay.errors import InputError
from assay.sparse.layout import BlockLayout, split_blocks


def test_a_layout_has_the_indices_of_pytorchs_own_bsr():
    weight = torch.randn(64, 96)
    weight[:16, 32:] = 0
    weight[32:48] = 0
    layout = BlockLayout.from_dense(weight, 16)
    found = weight.to_sparse_bsr((16, 16))
    assert torch.equal(layout.row_starts, found.crow_indices())
    assert torch.equal(layout.columns, found.col_indices())
    assert torch.equal(split_blocks(weight, 16)[layout.block_rows(), layout.columns], found.values())


def test_the_transpose_has_the_transposed_mask_and_knows_where_its_blocks_are():
    mask = torch.rand(5, 7) < 0.4
    layout = BlockLayout.from_mask(mask, 33, 50, 8)
    turned = layout.turned()
    assert torch.equal(turned.mask(), mask.T)
    assert (turned.out_features, turned.in_features) == (50, 33)
    order, inverse = layout.tensors[4:]
    assert torch.equal(layout.block_rows()[order], turned.columns)
    assert torch.equal(order[inverse], torch.arange(layout.blocks))
    assert all(map(torch.equal, turned.turned().tensors, layout.tensors))


def test_padding_and_density_are_said():
    layout = BlockLayout.from_mask(torch.ones(3, 2, dtype=torch.bool), 70, 50, 32)
    assert layout.padding == (26, 14)
    assert layout.density == 1.0


def test_the_largest_blocks_stay_and_exactly_as_many_go_as_asked():
    weight = torch.ones(64, 64)
    weight[16:32, 48:] = 3.0
    layout = BlockLayout.from_largest(weight, 16, 0.75)
    assert layout.blocks == 4
    assert layout.mask()[1, 3]
    assert layout.mask()[0, :3].all(), "of equal norms the first stay"


def test_values_are_carried_to_another_layout_and_new_blocks_are_zero():
    first = BlockLayout.from_mask(torch.tensor([[True, True], [False, False]]), 16, 16, 8)
    second = BlockLayout.from_mask(torch.tensor([[False, True], [True, False]]), 16, 16, 8)
    values = torch.randn(2, 8, 8)
    carried = first.carry(values, second)
    assert torch.equal(carried[0], values[1])
    assert not carried[1].any()


@pytest.mark.parametrize(
    ("starts", "columns"),
    [
        ([0, 1], [0]),
        ([0, 2, 1], [0, 1]),
        ([0, 1, 2], [0, 2]),
        ([0, 2, 2], [1, 0]),
        ([0, 2, 2], [1, 1]),
        ([1, 1, 2], [0, 1]),
        ([0, 1, 2], [0, -1]),
    ],
)
def test_indices_that_are_no_sorted_bsr_are_refused(starts, columns):
    with pytest.raises(InputError, match="not a block-sparse layout"):
        BlockLayout.from_bsr(torch.tensor(starts), torch.tensor(columns), 16, 16, 8)


def test_a_mask_of_another_size_and_an_unknown_block_are_refused():
    with pytest.raises(InputError, match="does not fit the matrix"):
        BlockLayout.from_mask(torch.ones(2, 2, dtype=torch.bool), 33, 32, 16)
    with pytest.raises(InputError, match="no kernel for this block"):
        BlockLayout.from_mask(torch.ones(2, 2, dtype=torch.bool), 24, 24, 12)
    with pytest.raises(InputError, match="no share"):
        BlockLayout.from_largest(torch.ones(32, 32), 16, 1.0)
