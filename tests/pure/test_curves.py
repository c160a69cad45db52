"""The test of non-inferiority, on losses whose truth is known."""

import numpy as np
import pytest

from assay.applied.curves import judge_curves


def losses(rng, worse, seeds=5, steps=100, spread=0.02):
    """Of the original and of a side that is worse by a share, with noise of their own per seed."""
    falling = 1.0 + np.exp(-np.arange(steps) / 20)
    original = falling * (1 + spread * rng.standard_normal((seeds, 1)))
    applied = original * (1 + worse + 0.001 * rng.standard_normal((seeds, 1)))
    return original.tolist(), applied.tolist()


def test_the_same_curves_are_not_inferior():
    original, applied = losses(np.random.default_rng(0), 0.0)
    assert judge_curves(original, applied, 0.01).not_inferior


def test_what_is_worse_than_the_margin_hardly_ever_passes():
    rng = np.random.default_rng(1)
    passed = sum(judge_curves(*losses(rng, 0.0101), 0.01).not_inferior for _ in range(400))
    assert passed / 400 < 0.08, "one in twenty by chance"


def test_what_is_as_good_nearly_always_passes():
    rng = np.random.default_rng(2)
    passed = sum(judge_curves(*losses(rng, 0.0), 0.01).not_inferior for _ in range(200))
    assert passed > 195


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_inferior(bad):
    original, applied = losses(np.random.default_rng(3), 0.0)
    applied[2][-1] = bad
    assert not judge_curves(original, applied, 0.01).not_inferior


def test_only_the_last_tenth_counts():
    original, applied = losses(np.random.default_rng(4), 0.0)
    for curve in applied:
        curve[:50] = [100.0] * 50
    assert judge_curves(original, applied, 0.01).not_inferior
