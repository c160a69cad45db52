"""Products and attention against float64: awkward sizes, every operand turned, halves, strides, finishes."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from assay.core.dtypes import DType
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.families.attention import attention
from assay.engineer.triton.families.matmul import Product, matmul
from assay.engineer.triton.families.pointwise import ACTIVATIONS
from assay.engineer.triton.schedule import Schedule
from tests.gpu.families.agreement import agree, drawn, sum_rounds
from tests.gpu.families.interpreter import run

SMALL = Schedule(m=16, n=32, k=16, stages=2)
DTYPES = {DType.FLOAT32: torch.float32, DType.FLOAT16: torch.float16, DType.BFLOAT16: torch.bfloat16}
SIZES = [(1, 1, 1), (16, 32, 16), (17, 31, 15), (150, 33, 65), (3, 70, 0), (0, 5, 7)]
"""m, n, k: a tile, one more and one less, more than a band of tiles, nothing to sum, no row."""


def operands(product, m, n, k, dtype, batch=3):
    """Two operands as they are passed, and as what they are multiplied."""
    outer = (batch,) if product.batched else ()
    left = drawn(*outer, *((k, m) if product.left_turned else (m, k)), dtype=dtype, spread=False)
    right = drawn(*outer, *((n, k) if product.right_turned else (k, n)), dtype=dtype, seed=1, spread=False)
    a = left.transpose(-1, -2) if product.left_turned else left
    b = right.transpose(-1, -2) if product.right_turned else right
    return left, right, a.double(), b.double()


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("turned", list(itertools.product((False, True), repeat=2)), ids=str)
@pytest.mark.parametrize("batched", [False, True])
def test_products_are_exact_to_the_roundings_of_their_sums(dtype, turned, batched):
    product = Product(batched=batched, left_turned=turned[0], right_turned=turned[1])
    for m, n, k in SIZES[:3] if batched else SIZES:
        left, right, a, b = operands(product, m, n, k, DTYPES[dtype])
        exact = a @ b
        (found,), _ = run(matmul(dtype, product, SMALL), [left, right], [exact.to(DTYPES[dtype])])
        agree(found, exact, a.abs() @ b.abs(), sum_rounds(k) + k / 16)


def test_operands_whose_rows_lie_apart():
    wide, tall = drawn(3, 20, 50, spread=False), drawn(3, 60, 40, seed=1, spread=False)
    left, right = wide[:, 1:18, 3:36], tall[:, 2:35, 4:33]
    exact = left.double() @ right.double()
    source = matmul(DType.FLOAT32, Product(batched=True, strided=True), SMALL)
    (found,), _ = run(source, [left, right], [exact.float()])
    agree(found, exact, left.double().abs() @ right.double().abs(), sum_rounds(33))


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_products_are_finished_where_they_are_computed(activation):
    product = Product(bias=True, activation=activation, scale=0.5, residual=True, right_turned=True)
    m, n, k = 33, 37, 19
    left, right, a, b = operands(product, m, n, k, torch.float32)
    bias, residual = drawn(n, seed=2), drawn(m, n, seed=3, spread=False)
    source = matmul(DType.FLOAT32, product, SMALL)
    assert len(source.plan.kernels) == 1
    (found,), _ = run(source, [left, right, bias, residual], [residual])
    inner = a @ b + bias.double()
    function = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}[activation]
    size = a.abs() @ b.abs() + bias.double().abs() + residual.double().abs()
    agree(found, function(inner) * 0.5 + residual.double(), 1.2 * size, sum_rounds(k) + 8)
    assert activation in ACTIVATIONS


def test_infinities_and_nan_reach_their_rows_and_columns_only():
    left, right = drawn(20, 18, spread=False), drawn(18, 40, seed=1, spread=False)
    left[3, 5], right[7, 2] = float("inf"), float("nan")
    (found,), _ = run(matmul(DType.FLOAT32, Product(), SMALL), [left, right], [left @ right])
    exact = left.double() @ right.double()
    assert torch.equal(found.isnan(), exact.isnan())
    assert torch.equal(found.isinf(), exact.isinf())


def test_what_has_no_kernel_says_so():
    with pytest.raises(Unsupported, match="float64"):
        matmul(DType.FLOAT64, Product())
    with pytest.raises(Unsupported, match="no activation"):
        matmul(DType.FLOAT32, Product(activation="swelu"))


def attended(q, k, v, causal, scale):
    """In float64, with what its roundings are relative to."""
    k, v = (each.double().repeat_interleave(q.shape[1] // k.shape[1], 1) for each in (k, v))
    scores = q.double() @ k.transpose(-1, -2) * scale
    mass = q.double().abs() @ k.abs().transpose(-1, -2) * abs(scale)
    if causal:
        hidden = torch.ones(scores.shape[-2:]).triu(1).bool()
        scores = scores.masked_fill(hidden, float("-inf"))
    weight = scores.softmax(-1)
    away = (scores - scores.amax(-1, keepdim=True)).abs().nan_to_num(posinf=0)
    return weight @ v, (weight * (1 + mass + mass.amax(-1, keepdim=True) * weight + away)) @ v.abs()


@pytest.mark.parametrize("dtype", list(DTYPES))
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_a_softmax_of_all_scores(dtype, causal):
    for heads, groups, queries, keys, width in [
        (2, 2, 1, 1, 16),
        (4, 2, 37, 70, 24),
        (2, 1, 33, 31, 64),
        (1, 1, 5, 33, 8),
    ]:
        q = drawn(2, heads, queries, width, dtype=DTYPES[dtype], spread=False) * 3
        k, v = (drawn(2, groups, keys, width, dtype=DTYPES[dtype], seed=s, spread=False) for s in (1, 2))
        exact, size = attended(q, k, v, causal, 1 / math.sqrt(width))
        source = attention(dtype, width, SMALL, causal=causal)
        assert len(source.plan.kernels) == 1, "the scores went to memory"
        (found,), _ = run(source, [q, k, v], [q])
        weights = 0 if dtype is DType.FLOAT32 else 2.0**24 * (2.0**-11 if dtype is DType.FLOAT16 else 2.0**-8)
        agree(found, exact, size, sum_rounds(width) + sum_rounds(keys) + keys / 16 + weights)


def test_attention_survives_scores_that_grow_and_scores_beyond_exp():
    q = torch.ones(1, 1, 3, 16) * 30
    k = torch.linspace(-20, 20, 70).reshape(1, 1, 70, 1).expand(1, 1, 70, 16).contiguous()
    v = drawn(1, 1, 70, 16, spread=False)
    exact, size = attended(q, k, v, False, 0.25)
    (found,), _ = run(attention(DType.FLOAT32, 16, SMALL), [q, k, v], [q])
    agree(found, exact, size, 20)
    (found,), _ = run(attention(DType.FLOAT32, 16, SMALL), [-q, k, v], [q])
    agree(found, *attended(-q, k, v, False, 0.25), 20)


def test_attention_reads_heads_where_a_projection_left_them():
    projected = drawn(2, 37, 3, 2, 16, spread=False)
    q, k, v = (projected[:, :, i].transpose(1, 2) for i in range(3))
    out = torch.empty(2, 2, 37, 16)
    (found,), _ = run(attention(DType.FLOAT32, 16, SMALL, causal=True, strided=True), [q, k, v], [out])
    agree(found, *attended(q, k, v, True, 0.25), 40)
