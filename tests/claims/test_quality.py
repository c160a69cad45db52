"""Non-inferiority on synthetic losses whose truth is known: coverage, false acceptances, and what decides nothing."""

import math

import numpy as np
import pytest

from assay.claims.quality import Margin, Outcome, compare_quality
from assay.errors import InputError

RUNS = 1500
ERROR = 3 * math.sqrt(0.05 * 0.95 / RUNS)
"""Three standard errors of a share of 5 % in so many runs."""


def several_seeds(random, truth, seeds=5, examples=40):
    """Training moves each run by 0.03; the examples' difficulty is common to both sides."""
    hard = random.gamma(4.0, 0.3, examples)
    sides = []
    for extra in (0.0, truth):
        training = random.normal(0, 0.03, (seeds, 1))
        sides.append(1.0 + hard + extra + training + random.normal(0, 0.1, (seeds, examples)))
    return sides[0], sides[1], np.repeat(np.arange(examples // 8), 8)


def one_seed(random, truth, sizes):
    """Every batch has a difference of its own, so that its examples are not independent."""
    batch = np.repeat(np.arange(len(sizes)), sizes)
    dense = 1.0 + random.gamma(4.0, 0.3, (1, len(batch)))
    effect = random.normal(0, 0.05, len(sizes))[batch] + random.normal(0, 0.1, len(batch))
    return dense, dense + truth + effect, batch


def accepted(draw, margin, seed=0):
    """The share of runs that come out as not inferior."""
    random = np.random.default_rng(seed)
    return np.mean([compare_quality(*draw(random), margin).outcome(margin) is Outcome.NOT_INFERIOR
                    for _ in range(RUNS)])  # fmt: skip


EVEN, UNEVEN = [8] * 20, [4, 8, 8, 16] * 6


@pytest.mark.parametrize(
    "draw",
    [
        lambda random: several_seeds(random, 0.02),
        lambda random: several_seeds(random, 0.02, seeds=2),
        lambda random: one_seed(random, 0.02, EVEN),
    ],
    ids=["five seeds", "two seeds", "batches"],
)
def test_a_model_that_is_the_margin_worse_is_accepted_one_time_in_twenty(draw):
    share = accepted(draw, Margin(0.02))
    assert 0.05 - ERROR <= share <= 0.05 + ERROR


def test_batches_of_uneven_sizes_add_little_to_false_acceptances():
    assert accepted(lambda random: one_seed(random, 0.02, UNEVEN), Margin(0.02)) <= 0.065 + ERROR


def test_examples_taken_as_independent_would_have_been_accepted_far_too_often():
    def alone(random):
        dense, cheap, batch = one_seed(random, 0.02, EVEN)
        return dense, cheap, np.arange(len(batch))

    assert accepted(alone, Margin(0.02)) > 0.1


def test_relative_limits_hold_for_losses_of_any_scale():
    def scaled(random):
        dense, cheap, batch = one_seed(random, 0.0, EVEN)
        return 1e3 * dense, 1e3 * (cheap + 0.02 * dense.mean()), batch

    assert accepted(scaled, Margin(0.02, relative=True)) <= 0.05 + ERROR


def test_the_limits_hold_the_truth_nineteen_times_in_twenty_each():
    random = np.random.default_rng(1)
    found = [compare_quality(*several_seeds(random, 0.3), Margin(1.0)) for _ in range(RUNS)]
    assert abs(np.mean([one.upper < 0.3 for one in found]) - 0.05) <= ERROR
    assert abs(np.mean([one.lower > 0.3 for one in found]) - 0.05) <= ERROR


def test_an_equal_model_is_accepted_and_a_far_worse_one_is_inferior():
    random = np.random.default_rng(2)
    for truth, wanted in ((0.0, Outcome.NOT_INFERIOR), (0.5, Outcome.INFERIOR)):
        margin = Margin(0.1)
        assert compare_quality(*several_seeds(random, truth), margin).outcome(margin) is wanted
        assert compare_quality(*one_seed(random, truth, EVEN), margin).outcome(margin) is wanted


def test_limits_on_both_sides_of_the_margin_are_undecided():
    margin = Margin(0.02)
    dense, cheap = np.ones((2, 4)), np.ones((2, 4)) + np.array([[0.0], [0.04]])
    assert compare_quality(dense, cheap, [0, 0, 1, 1], margin).outcome(margin) is Outcome.UNDECIDED


def test_the_same_losses_differ_by_nothing():
    same = np.random.default_rng(3).random((3, 6))
    found = compare_quality(same, same, np.arange(6), Margin(0.01))
    assert (found.difference, found.lower, found.upper, found.units) == (0.0, 0.0, 0.0, 3)


def test_limits_agree_with_a_one_sample_t_test():
    from scipy import stats

    random = np.random.default_rng(4)
    dense, cheap, batch = several_seeds(random, 0.1)
    found = compare_quality(dense, cheap, batch, Margin(1.0))
    differences = (cheap - dense).mean(axis=1)
    by_scipy = stats.ttest_1samp(differences, 0.0).confidence_interval(0.90)
    assert (found.lower, found.upper) == pytest.approx((by_scipy.low, by_scipy.high), rel=1e-9)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "100%", "a little", "", "%"])
def test_a_margin_that_decides_nothing_is_refused(text):
    with pytest.raises(InputError):
        Margin.parse(text)


def test_margins_are_read_in_the_scores_unit_or_as_a_share():
    assert Margin.parse("0.02") == Margin(0.02)
    assert Margin.parse("1.5%") == Margin(0.015, relative=True)
    assert [str(Margin.parse(text)) for text in ("0.02", "1.5%")] == ["0.02", "1.5%"]


@pytest.mark.parametrize(
    ("dense", "cheap", "batch", "margin", "words"),
    [
        ([[1.0]], [[1.0]], [0], Margin(0.1), "one held-out example"),
        ([[1.0, 2.0]], [[1.0, 2.0]], [0, 0], Margin(0.1), "one held-out batch"),
        ([[-1.0, 0.5]], [[1.0, 2.0]], [0, 1], Margin(0.1, relative=True), "no relative difference"),
    ],
)
def test_losses_that_decide_nothing_are_refused(dense, cheap, batch, margin, words):
    with pytest.raises(InputError, match=words):
        compare_quality(dense, cheap, batch, margin)


@pytest.mark.parametrize("cheap", [[[1.0, math.nan]], [[1.0, math.inf]], [[1.0]], [1.0, 2.0]])
def test_losses_that_are_not_finite_or_not_paired_are_a_mistake_of_the_caller(cheap):
    with pytest.raises(ValueError, match="losses"):
        compare_quality([[1.0, 2.0]], cheap, [0, 1], Margin(0.1))
