"""The native comparison against the same arithmetic in NumPy, over types, shapes and values that are no numbers."""

import numpy as np
import pytest

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from assay.referee.correctness.deviation import measured, widen

SHAPES = [(64, 300), (7,), (), (33, 3), (5, 4, 9), (1,), (100, 8)]
TYPES = {DType.FLOAT32: "float32", DType.FLOAT64: "float64", DType.FLOAT16: "float16", DType.BFLOAT16: "uint16"}


def spec_for(dtype, shape):
    strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    return TensorSpec("", dtype, tuple(shape), tuple(strides))


def by_numpy(got, wanted, dtype):
    """(worst element, worst row, whether NaN or infinity are misplaced), as correctness/deviation.py defines them."""
    eps = DType.FLOAT64.eps if dtype is DType.FLOAT64 else DType.FLOAT32.eps
    largest = {DType.FLOAT16: 65504.0, DType.FLOAT64: np.inf}.get(dtype, 3.3895e38)
    with np.errstate(all="ignore"):
        clipped = np.where(np.abs(wanted) > largest, np.copysign(np.inf, wanted), wanted)
        misplaced = (np.isnan(got) != np.isnan(clipped)) | (
            np.where(np.isinf(got), np.sign(got), 0) != np.where(np.isinf(clipped), np.sign(clipped), 0)
        )
        finite = np.isfinite(wanted)
        values, exact = np.where(finite, got, 0.0), np.where(finite, wanted, 0.0)
        rows = (-1, exact.shape[-1]) if exact.ndim > 1 and exact.shape[-1] >= 8 else (1, -1)
        values, exact = values.reshape(rows), exact.reshape(rows)
        power = np.mean(exact**2, axis=1, keepdims=True)
        scale = np.maximum(np.abs(exact), np.sqrt(np.maximum(power, power.mean())))
        error = np.abs(values - exact) / (scale * eps + np.finfo(np.float32).tiny)
        error = np.where(error < np.inf, error, np.inf)
        return error.max(), np.sqrt(np.mean(error**2, axis=1)).max(), bool(misplaced.any())


def rounded(exact, dtype):
    if dtype is DType.BFLOAT16:
        return (np.atleast_1d(exact.astype(np.float32)).view(np.uint32) >> 16).astype(np.uint16).reshape(exact.shape)
    return np.asarray(exact.astype(TYPES[dtype]))


@pytest.mark.parametrize("dtype", TYPES, ids=lambda d: d.value)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("odd", [None, np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("side", ["got", "wanted", "both"])
def test_it_finds_what_numpy_finds(dtype, shape, odd, side):
    exact = np.asarray(np.random.default_rng(7).standard_normal(shape))
    got, wanted = exact.copy(), exact.copy()
    if odd is not None:
        for array in {"got": [got], "wanted": [wanted], "both": [got, wanted]}[side]:
            array.flat[-1] = odd
    raw, spec = rounded(got, dtype), spec_for(dtype, shape)
    error, misplaced = measured(raw, wanted, spec)
    element, row, expected_misplaced = by_numpy(widen(raw, dtype), wanted, dtype)
    assert error.worst_element == pytest.approx(element, rel=1e-12)
    assert error.worst_row == pytest.approx(row, rel=1e-9)
    assert misplaced == expected_misplaced


def test_the_worst_element_is_named_by_its_place():
    exact = np.random.default_rng(3).standard_normal((20, 40))
    got = exact.astype(np.float32)
    got[13, 37] += 0.25
    error, _ = measured(got, exact, spec_for(DType.FLOAT32, (20, 40)))
    assert error.where == (13, 37)
    assert error.got - error.wanted == pytest.approx(0.25, rel=1e-5)


def test_a_strided_output_is_compared_in_logical_order():
    exact = np.random.default_rng(3).standard_normal((20, 40))
    transposed = np.ascontiguousarray(exact.astype(np.float32).T).T
    error, _ = measured(transposed, exact, spec_for(DType.FLOAT32, (20, 40)))
    assert error.worst_element < 1.0


def test_a_result_too_large_for_its_type_must_be_infinite():
    spec = spec_for(DType.FLOAT16, (2,))
    wanted = np.array([1e5, 1.0])
    assert not measured(np.array([np.inf, 1.0], np.float16), wanted, spec)[1]
    assert measured(np.array([6e4, 1.0], np.float16), wanted, spec)[1]
