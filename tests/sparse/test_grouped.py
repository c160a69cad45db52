"""Grouped products against plain PyTorch: every layout, instruction set and rank, derivatives, and wrong input."""

import pytest
import torch
from torch.library import opcheck

from assay.errors import InputError
from assay.sparse import reference
from assay.sparse.grouped import gathered_mm, group_rows, grouped_mm, scattered_mm
from assay.sparse.library import INSTRUCTION_SETS, ISA_VARIABLE, _processor_flags

ABLE = [name for name, needs in INSTRUCTION_SETS.items() if set(needs) <= _processor_flags()]
UNEVEN = ([3, 0, 40, 1, 2], 2)
COUNTS = [UNEVEN, ([0, 0], 3), ([130], 0), ([0, 61, 0], 0), ([5, 4, 6], 1), ([1], 0), ([0], 0), ([], 2)]
"""Rows of each group, and rows beyond the last."""
DOUBLE = torch.float64


@pytest.fixture(params=ABLE)
def isa(request, monkeypatch):
    monkeypatch.setenv(ISA_VARIABLE, request.param)


@pytest.fixture(autouse=True)
def one_thread():
    """Derivatives are thousands of tiny products, which waiting for other threads would make slow."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 3])
def threads(request, one_thread):
    torch.set_num_threads(request.param)


def draw(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed + sum(shape)))


def weights(groups, k, n, layout, dtype):
    """[groups, k, n] whose inputs adjoin, whose outputs adjoin, or neither."""
    if layout == "inputs adjoin":
        return draw(groups, n, k, dtype=dtype).transpose(1, 2)
    return (
        draw(groups, k, n, dtype=dtype) if layout == "outputs adjoin" else draw(groups, k, 2 * n, dtype=dtype)[..., ::2]
    )


def ends_of(counts, dtype=torch.int32):
    return torch.tensor(counts, dtype=torch.int64).cumsum(0).to(dtype)


def close(got, wanted):
    loose = got.dtype == torch.float32
    torch.testing.assert_close(got, wanted.to(got.dtype), rtol=1e-4 if loose else 1e-10, atol=1e-3 if loose else 1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
@pytest.mark.parametrize("layout", ["inputs adjoin", "outputs adjoin", "neither"])
@pytest.mark.parametrize(("counts", "beyond"), COUNTS)
def test_a_grouped_product_and_its_gradients_are_each_groups_own(isa, threads, counts, beyond, layout, dtype):
    rows = sum(counts) + beyond
    for k, n in ((64, 32), (33, 70), (1, 5), (7, 1), (130, 260)):
        x = draw(rows, k, dtype=dtype)
        w, bias = weights(len(counts), k, n, layout, dtype), draw(len(counts), n, dtype=dtype)
        ends, index = ends_of(counts), torch.randint(0, max(rows, 1), (rows,))
        wide = x.double(), w.double(), ends
        close(grouped_mm(x, w, offs=ends, bias=bias), reference.grouped(*wide, None, bias.double()))
        close(gathered_mm(x, w, ends, index), reference.grouped(*wide, index))
        scales, slope = draw(rows, dtype=dtype), draw(rows, n, dtype=dtype)
        got = scattered_mm(x, w, ends, index, rows + 2, scales)
        close(got, reference.scattered(*wide, index, rows + 2, scales.double()))
        got = torch.ops.assay.grouped_outer(x, slope, ends, index, index.flip(0))
        close(got, reference.grouped_outer(x.double(), slope.double(), ends, index, index.flip(0)))


@pytest.mark.parametrize("counts", [[700, 3], [0, 300, 0, 299, 1]])
def test_groups_of_more_rows_than_a_chunk_are_right(isa, threads, counts):
    x, w, slope = draw(sum(counts), 900), draw(len(counts), 50, 900).transpose(1, 2), draw(sum(counts), 50)
    ends = ends_of(counts)
    close(grouped_mm(x, w, offs=ends), reference.grouped(x.double(), w.double(), ends))
    got = torch.ops.assay.grouped_outer(x, slope, ends)
    close(got, reference.grouped_outer(x.double(), slope.double(), ends))


@pytest.mark.parametrize("view", ["transposed", "every second row", "every second column", "one row repeated"])
def test_rows_of_any_strides_are_read_right(view):
    x = {
        "transposed": draw(33, 12).T,
        "every second row": draw(24, 33)[::2],
        "every second column": draw(12, 66)[:, ::2],
        "one row repeated": draw(1, 33).expand(12, 33),
    }[view]
    w, ends = draw(3, 33, 20), ends_of([5, 0, 6])
    close(grouped_mm(x, w, offs=ends), reference.grouped(x.double(), w.double(), ends))


def test_rows_beyond_the_last_offset_are_zero_whatever_was_in_memory():
    x, w = draw(20, 8), draw(2, 8, 16)
    for _ in range(5):
        torch.full((20, 16), float("nan"))
        assert not grouped_mm(x, w, offs=ends_of([3, 4]))[7:].any()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE, torch.float16, torch.bfloat16])
def test_the_four_combinations_of_ranks_agree_with_plain_products(dtype):
    counts, a, b = [4, 0, 3], draw(3, 5, 6, dtype=DOUBLE), draw(3, 6, 9, dtype=DOUBLE)
    a, b = a.to(dtype).double(), b.to(dtype).double()
    flat_a, flat_b, columns, ends = (
        a[0].repeat(2, 1)[:8],
        a[0].T.repeat(1, 2)[:, :8],
        b[0].repeat(1, 1)[:, :8],
        ends_of(counts),
    )

    def same(x, y, wanted, **more):
        got = grouped_mm(x.to(dtype), y.to(dtype), **more)
        assert got.dtype == dtype
        exact = dtype in (torch.float32, DOUBLE)
        torch.testing.assert_close(got.double(), wanted, rtol=1e-5 if exact else 1e-2, atol=1e-5 if exact else 1e-2)

    same(a, b, a @ b)
    parts = [slice(0, 4), slice(4, 4), slice(4, 7)]
    zero = torch.zeros(1, 9, dtype=DOUBLE)
    same(flat_a, b, torch.cat([*(flat_a[part] @ w for part, w in zip(parts, b, strict=True)), zero]), offs=ends)
    rows = columns.T.repeat(1, 2)[:, :9]
    wanted = torch.stack([flat_b[:, part] @ rows[part] for part in parts])
    same(flat_b, rows, wanted, offs=ends)
    wanted = torch.cat([*(m @ columns[:, part] for part, m in zip(parts, a, strict=True)), zero[:, :1].expand(5, 1)], 1)
    same(a, columns, wanted, offs=ends)


def test_half_precision_is_summed_in_single_and_rounded_once():
    x, w, ends = draw(64, 300), draw(2, 300, 40), ends_of([30, 34])
    half = x.bfloat16(), w.bfloat16()
    wanted = reference.grouped(half[0].float(), half[1].float(), ends)
    close(grouped_mm(*half, offs=ends, out_dtype=torch.float32), wanted)
    assert torch.equal(grouped_mm(*half, offs=ends), grouped_mm(*half, offs=ends, out_dtype=torch.float32).bfloat16())


@pytest.mark.parametrize("shape", ["one for all", "one a group"])
def test_a_bias_is_added_in_every_combination_that_may_have_one(shape):
    a, b, ends = draw(3, 5, 6, dtype=DOUBLE), draw(3, 6, 9, dtype=DOUBLE), ends_of([4, 0, 3])
    bias = draw(9, dtype=DOUBLE) if shape == "one for all" else draw(3, 9, dtype=DOUBLE)
    each = bias.expand(3, 9)[:, None]
    close(grouped_mm(a, b, bias=bias), a @ b + each)
    rows, more = draw(6, 7, dtype=DOUBLE), draw(7, 9, dtype=DOUBLE)
    close(grouped_mm(rows, more, offs=ends, bias=bias), grouped_mm(rows, more, offs=ends) + each)
    x = draw(7, 6, dtype=DOUBLE)
    of_row = each[torch.tensor([0] * 4 + [2] * 3), 0]
    close(grouped_mm(x, b, offs=ends, bias=bias), grouped_mm(x, b, offs=ends) + of_row)


@pytest.mark.parametrize("ranks", ["2x3", "2x2", "3x2", "3x3"])
def test_first_and_second_derivatives_are_right(ranks):
    rows, k, n, groups = 7, 3, 4, 3
    shapes = {
        "2x3": ((rows, k), (groups, k, n)),
        "2x2": ((k, rows), (rows, n)),
        "3x2": ((groups, k, n), (n, rows)),
        "3x3": ((groups, 2, k), (groups, k, n)),
    }[ranks]
    a, b = (draw(*shape, dtype=DOUBLE).requires_grad_() for shape in shapes)
    offs = None if ranks == "3x3" else ends_of([4, 0, 2])
    bias = [] if ranks == "3x2" else [draw(n, dtype=DOUBLE).requires_grad_()]

    def run(*operands):
        return grouped_mm(operands[0], operands[1], offs=offs, bias=operands[2] if bias else None)

    assert torch.autograd.gradcheck(run, (a, b, *bias))
    assert torch.autograd.gradgradcheck(run, (a, b, *bias))


@pytest.mark.parametrize("layout", ["inputs adjoin", "outputs adjoin", "neither"])
def test_derivatives_through_gathered_rows_are_right(layout):
    x, w = draw(4, 3, dtype=DOUBLE).requires_grad_(), weights(3, 3, 5, layout, DOUBLE).requires_grad_()
    ends, index = ends_of([2, 0, 4], torch.int64), torch.tensor([0, 3, 3, 1, 0, 0, 2])
    assert torch.autograd.gradcheck(lambda x, w: gathered_mm(x, w, ends, index), (x, w))
    assert torch.autograd.gradgradcheck(lambda x, w: gathered_mm(x, w, ends, index), (x, w))


@pytest.mark.parametrize("layout", ["inputs adjoin", "outputs adjoin"])
def test_derivatives_through_scattered_rows_and_their_scales_are_right(layout):
    x, w = draw(7, 3, dtype=DOUBLE).requires_grad_(), weights(3, 3, 5, layout, DOUBLE).requires_grad_()
    ends, index, scales = (
        ends_of([2, 0, 4]),
        torch.tensor([0, 3, 3, 1, 0, 0, 2]),
        draw(7, dtype=DOUBLE).requires_grad_(),
    )
    assert torch.autograd.gradcheck(lambda x, w, s: scattered_mm(x, w, ends, index, 5, s), (x, w, scales))
    assert torch.autograd.gradgradcheck(lambda x, w, s: scattered_mm(x, w, ends, index, 5, s), (x, w, scales))
    assert torch.autograd.gradgradcheck(lambda x, w: scattered_mm(x, w, ends, index, 5), (x, w))


@pytest.mark.parametrize("indices", ["of both", "of x", "of g", "of neither"])
def test_derivatives_of_the_outer_product_are_right(indices):
    x, g = draw(6, 3, dtype=DOUBLE).requires_grad_(), draw(6, 4, dtype=DOUBLE).requires_grad_()
    index = torch.tensor([0, 3, 3, 1, 0, 0])
    of_x = index if indices in ("of both", "of x") else None
    of_g = index.flip(0) if indices in ("of both", "of g") else None
    ends = ends_of([2, 0, 3])
    assert torch.autograd.gradcheck(lambda x, g: torch.ops.assay.grouped_outer(x, g, ends, of_x, of_g), (x, g))


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("shape", [(100,), (50, 2), (0,), (0, 2)])
def test_rows_are_sorted_by_group_and_keep_their_order(dtype, shape):
    group_of = torch.randint(0, 7, shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    group_of[group_of == 3] = 4
    ends, order, rows = group_rows(group_of, 7)
    assert torch.equal(order, group_of.flatten().argsort(stable=True))
    assert torch.equal(ends, torch.bincount(group_of.flatten(), minlength=7).cumsum(0))
    assert torch.equal(rows, order // (shape[1] if len(shape) == 2 else 1))
    for mine, plain in zip((ends, order, rows), reference.group_rows(group_of, 7), strict=True):
        assert torch.equal(mine, plain)


def test_scattered_sums_do_not_depend_on_the_number_of_threads():
    x, w, ends = draw(90, 40), draw(3, 40, 200), ends_of([30, 50, 10])
    index = torch.randint(0, 20, (90,))
    found = []
    for number in (1, 2, 5):
        torch.set_num_threads(number)
        found.append(scattered_mm(x, w, ends, index, 20))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_a_weight_and_its_gradient_are_laid_out_alike():
    x, ends = draw(10, 8), ends_of([4, 6])
    weight = draw(2, 16, 8).requires_grad_()
    (slope,) = torch.autograd.grad(grouped_mm(x, weight.transpose(1, 2), offs=ends).sum(), weight)
    assert slope.is_contiguous()
    close(slope, reference.grouped_outer(torch.ones(10, 16, dtype=DOUBLE), x.double(), ends))


def test_the_operators_keep_the_contracts_of_pytorch():
    x, w = draw(9, 6).requires_grad_(), draw(3, 6, 5).requires_grad_()
    ends, index, bias = ends_of([4, 0, 3]), torch.tensor([1, 0, 8, 3, 2, 2, 7]), draw(3, 5).requires_grad_()
    opcheck(torch.ops.assay.gathered_mm, (x, w, ends, None, bias))
    opcheck(torch.ops.assay.gathered_mm, (x, w.detach().transpose(1, 2).contiguous().transpose(1, 2), ends, index))
    opcheck(torch.ops.assay.grouped_outer, (x, draw(7, 4).requires_grad_(), ends, index))
    opcheck(torch.ops.assay.grouped_outer, (draw(7, 4), x, ends, None, index))
    opcheck(torch.ops.assay.scattered_mm, (x[:7], w, ends, index, 9, draw(7).requires_grad_()))
    opcheck(torch.ops.assay.scattered_mm, (x[:7], w, ends, index, 9))
    opcheck(torch.ops.assay.group_rows, (index, 9))
    opcheck(torch.ops.assay.group_rows, (index[:6].view(3, 2).int(), 9))


def test_compilation_keeps_one_graph_of_any_sizes():
    compiled = torch.compile(
        lambda x, w, ends: grouped_mm(torch.tanh(x), w, offs=ends).square().sum(),
        fullgraph=True,
        dynamic=True,
        backend="aot_eager",
    )
    for counts in ([4, 0, 3], [9, 1, 1, 5]):
        x, w = draw(sum(counts) + 1, 12).requires_grad_(), draw(len(counts), 12, 6).requires_grad_()
        compiled(x, w, ends_of(counts)).backward()
        got, x.grad = x.grad, None
        reference.grouped(torch.tanh(x), w, ends_of(counts)).square().sum().backward()
        close(got, x.grad)


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        (torch.tensor([4, 3, 7]), "ends of groups"),
        (torch.tensor([-1, 3, 7]), "ends of groups"),
        (torch.tensor([1, 3, 11]), "ends of groups"),
        (torch.tensor([1, 3]), "one end for each group"),
        (torch.tensor([[1, 3, 7]]), "not an index"),
        (torch.tensor([1.0, 3.0, 7.0]), "not an index"),
        (torch.tensor([1, 3, 7], device="meta"), "not an index"),
        (None, "missing"),
    ],
)
def test_wrong_offsets_are_refused_in_words(ends, message):
    with pytest.raises(InputError, match=message):
        grouped_mm(draw(10, 4), draw(3, 4, 5), offs=ends)


@pytest.mark.parametrize(
    ("a", "b", "more", "message"),
    [
        (draw(10, 4), draw(3, 5, 5), {}, "shapes do not fit"),
        (draw(10, 4), draw(3, 4, 5, dtype=DOUBLE), {}, "differ in kind"),
        (draw(10, 4).int(), draw(3, 4, 5).int(), {}, "dtype without"),
        (draw(10, 4), draw(3, 4, 5), {"out_dtype": torch.int32}, "dtype without"),
        (draw(10), draw(3, 4, 5), {}, "rank"),
        (draw(10, 4), draw(3, 4, 5), {"bias": draw(4)}, "bias does not fit"),
        (draw(10, 4), draw(3, 4, 5), {"bias": draw(5, dtype=DOUBLE)}, "bias differs"),
        (draw(3, 2, 4), draw(4, 10), {"bias": draw(10)}, "bias does not fit"),
    ],
)
def test_wrong_operands_are_refused_in_words(a, b, more, message):
    with pytest.raises(InputError, match=message):
        grouped_mm(a, b, offs=torch.tensor([1, 3, 7]), **more)


@pytest.mark.parametrize("index", [torch.tensor([0, 10]), torch.tensor([-1, 0])])
def test_an_index_outside_of_the_rows_or_groups_is_refused_in_words(index):
    with pytest.raises(InputError, match="points outside"):
        gathered_mm(draw(10, 4), draw(1, 4, 5), torch.tensor([2]), index)
    with pytest.raises(InputError, match="points outside"):
        scattered_mm(draw(2, 4), draw(1, 4, 5), torch.tensor([2]), index, 10)
    with pytest.raises(InputError, match="points outside"):
        group_rows(index, 10)


def test_what_does_not_fit_the_rows_is_refused_in_words():
    x, w, ends, index = draw(3, 4), draw(1, 4, 5), torch.tensor([2]), torch.tensor([0, 0, 0])
    with pytest.raises(InputError, match="one row for each"):
        scattered_mm(x, w, ends, index[:2], 4)
    with pytest.raises(InputError, match="scales do not fit"):
        scattered_mm(x, w, ends, index, 4, draw(3, dtype=DOUBLE))
    with pytest.raises(InputError, match="wrong ranks"):
        gathered_mm(x, w[0], ends)
    with pytest.raises(InputError, match="not an index"):
        gathered_mm(x, w, ends, index.double())
    with pytest.raises(InputError, match="not an index"):
        group_rows(index.double(), 3)


def test_offsets_of_batched_operands_are_refused():
    with pytest.raises(InputError, match="not needed"):
        grouped_mm(draw(3, 2, 4), draw(3, 4, 5), offs=torch.tensor([1, 2, 3]))
