"""The Triton kernels of grouped products against a loop over groups, and their operators' gradients."""

import pytest
import torch

from assay.sparse import reference
from assay.sparse.gpu import grouped
from assay.sparse.grouped import gathered_mm
from tests.gpu.agreement import agree

CASES = [
    ([3, 3, 20, 50], 57, 40, 70),
    ([0, 0, 0], 5, 16, 16),
    ([70, 71], 71, 65, 130),
    ([10], 10, 3, 1),
    ([], 4, 8, 8),
    ([0, 0], 0, 8, 8),
]
"""Ends, rows, inner, outputs: empty groups and rows of none, nothing but those, more than a tile, less, no group."""


def draw(ends, rows, inner, outputs, dtype=torch.float32, device="cpu"):
    """x, matrices, ends, bias, gradient and an index of x's rows."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator).to(device, dtype)

    index = torch.randint(0, max(rows, 1), (rows,), generator=generator).to(device)
    found = torch.tensor(ends, dtype=torch.int32).to(device)
    return normal(rows, inner), normal(len(ends), inner, outputs), found, normal(len(ends), outputs), normal(
        rows, outputs
    ), index  # fmt: skip


def exact(*tensors):
    """In float64."""
    return [tensor.double() for tensor in tensors]


@pytest.fixture(params=[1, 3])
def programs(request, device, monkeypatch):
    """How many processors the interpreter is said to have: each program then takes every second or sixth tile."""
    if device == "cpu":
        monkeypatch.setattr(grouped, "processors", lambda device: request.param)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_products_agree_with_a_loop_over_groups(programs, device, dtype, case):
    x, w, ends, bias, g, index = draw(*case, dtype, device)
    x_, w_, bias_, g_ = exact(x, w, bias, g)
    agree(grouped.multiply(x, w, ends, index, bias), reference.grouped(x_, w_, ends, index, bias_))
    turned = w.transpose(1, 2).contiguous().transpose(1, 2)
    agree(grouped.multiply(x, turned, ends.long()), reference.grouped(x_, w_, ends))
    agree(grouped.outer(x, g, ends, index), reference.grouped_outer(x_, g_, ends, index))
    agree(grouped.outer(x, g, ends, None, index), reference.grouped_outer(x_, g_[index], ends))


@pytest.mark.parametrize("scaled", [False, True])
def test_results_are_scaled_and_added_where_rows_belong(device, dtype, scaled):
    x, w, ends, _, _, index = draw(*CASES[0], dtype, device)
    scales = torch.rand(x.shape[0]).to(device, dtype) if scaled else None
    rows = reference.grouped(*exact(x, w), ends)
    rows = rows if scales is None else rows * scales.double()[:, None]
    expected = rows.new_zeros(60, rows.shape[1]).index_add(0, index, rows)
    index[50:] = 10**6  # beyond the last end
    agree(grouped.scattered(x, w, ends, index, 60, scales), expected)
    assert not grouped.scattered(x, w[:0], ends[:0], index, 60).any()


def test_operands_of_any_strides_are_read_where_they_lie(device):
    x, w, ends, bias, g, _ = draw(*CASES[0], device=device)
    expected = grouped.multiply(x, w, ends, None, bias)
    assert torch.equal(grouped.multiply(x.T.contiguous().T, w, ends, None, bias), expected)
    assert torch.equal(
        grouped.multiply(x, w.permute(2, 0, 1).contiguous().permute(1, 2, 0), ends, None, bias), expected
    )
    same = bias[:1].expand(4, -1)
    agree(grouped.multiply(x, w, ends, None, same), reference.grouped(*exact(x, w), ends, None, same.double()))
    ones = g.new_ones(1, 1).expand(57, 1)
    agree(grouped.outer(ones, g, ends), reference.grouped_outer(*exact(ones, g), ends))


def test_an_index_outside_of_x_gives_nan_and_nothing_else_changes(device):
    x, w, ends, _, g, index = draw(*CASES[0], device=device)
    expected, sums = grouped.multiply(x, w, ends, index), grouped.outer(x, g, ends, index)
    index[25], index[55] = 57, -1  # of the last group, and beyond the last end
    found = grouped.multiply(x, w, ends, index)
    assert found[25].isnan().all()
    kept = torch.arange(57, device=device) != 25
    assert torch.equal(found[kept], expected[kept])
    found = grouped.outer(x, g, ends, index)
    assert found[3].isnan().all()
    assert torch.equal(found[:3], sums[:3])
    assert grouped.outer(x, g, ends, None, index)[3].isnan().all()


@pytest.mark.parametrize("ends", [[5, 3, 8, 90], [-4, 2, 2, 2**31 - 1]])
def test_offsets_that_are_none_stay_inside_of_the_operands(device, ends):
    x, w, _, _, g, _ = draw(*CASES[0], device=device)
    ends = torch.tensor(ends).to(device)
    assert grouped.multiply(x, w, ends).isfinite().all()
    assert grouped.outer(x, g, ends).isfinite().all()


def test_gradients_of_first_and_second_order_are_a_loops(operators, device):
    x, w, ends, _, g, index = draw([3, 3, 9], 12, 20, 18, device=device)
    found, expected = [], []
    for grads, dtype in ((found, torch.float32), (expected, torch.float64)):
        wanted = [tensor.to(dtype).requires_grad_() for tensor in (x, w)]
        if dtype == torch.float32:
            y = gathered_mm(*wanted, ends, index)
        else:
            parts = [wanted[0][index[a:b]] @ wanted[1][i] for i, (a, b) in enumerate([(0, 3), (3, 3), (3, 9)])]
            y = torch.cat([*parts, wanted[0].new_zeros(3, 18)])
        first = torch.autograd.grad((y * y * g).sum(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(each.square().sum() for each in first), wanted)
        grads.extend([y, *first, *second])
    for one, other in zip(found, expected, strict=True):
        agree(one.detach() / other.detach().abs().max(), other.detach() / other.detach().abs().max())
