"""Floors and rooflines on a synthetic machine whose numbers are easy to divide by."""

from __future__ import annotations

import json

import pytest

from assay.core.dtypes import DType
from assay.machine.floor import SAFETY, Bound, Work, estimate_floor, home_level, place_on_roofline
from assay.machine.peaks import Access, Bandwidth, Compute, Level, Peaks

GB = 1e9
RATES = {Level.L1: (400, 200), Level.L2: (200, 100), Level.DRAM: (20, 10)}
CAPACITIES = ((Level.L1, 100_000), (Level.L2, 1_000_000), (Level.DRAM, None))


def bandwidths(rates=RATES):
    pairs = ((Access.READ, 0), (Access.WRITE, 1))
    return tuple(Bandwidth(lv, a, 2, 1, rates[lv][i] * GB) for lv in rates for a, i in pairs)


def machine(**changes):
    fields = {
        "machine_identity": "synthetic",
        "threads": 2,
        "capacities": CAPACITIES,
        "bandwidths": bandwidths(),
        "computes": (Compute(DType.FLOAT32, 2, 100 * GB), Compute(DType.FLOAT64, 2, 50 * GB)),
        "unbounded": {},
    }
    return Peaks(**(fields | changes))


def test_a_set_that_fits_the_first_level_is_bounded_by_it_alone():
    floor = estimate_floor(Work(100_000, 0), machine(), safety=1)
    assert floor.min_ns == pytest.approx(250)
    assert (floor.bound, "L1" in floor.explanation) == (Bound.MEMORY, True)


def test_only_what_no_faster_level_holds_is_charged_to_memory():
    floor = estimate_floor(Work(11_100_000, 0), machine(), safety=1)
    assert floor.min_ns == pytest.approx(500_000)
    assert "reading 10000000 of 11100000 bytes at DRAM's 20 GB/s" in floor.explanation


def test_writing_has_its_own_rate():
    floor = estimate_floor(Work(0, 100_000), machine(), safety=1)
    assert floor.min_ns == pytest.approx(500)
    assert "writing" in floor.explanation


def test_reading_and_writing_together_cannot_exceed_the_best_mix():
    floor = estimate_floor(Work(50_000, 50_000), machine(), safety=1)
    assert floor.min_ns == pytest.approx(max(50_000 / 200, 100_000 / 400))


def test_a_slower_level_that_was_measured_faster_is_believed():
    noisy = machine(bandwidths=bandwidths({**RATES, Level.L1: (50, 50)}))
    assert estimate_floor(Work(100_000, 0), noisy, safety=1).min_ns == pytest.approx(500)


def test_more_bytes_never_have_a_lower_floor():
    floors = [estimate_floor(Work(count, 0), machine()).min_ns for count in range(0, 3_000_000, 9_973)]
    assert floors == sorted(floors)


def test_operations_bound_when_they_take_longer():
    floor = estimate_floor(Work(1000, 0, {DType.FLOAT32: 1e9}), machine(), safety=1)
    assert (floor.bound, floor.min_ns) == (Bound.COMPUTE, pytest.approx(1e7))


def test_a_narrow_type_may_be_computed_in_a_wider_one_but_not_the_other_way_round():
    slow_half = machine(computes=(Compute(DType.FLOAT32, 2, 100 * GB), Compute(DType.BFLOAT16, 2, 10 * GB)))
    assert estimate_floor(Work(0, 0, {DType.BFLOAT16: 1e9}), slow_half, safety=1).min_ns == pytest.approx(1e7)
    fast_half = machine(computes=(Compute(DType.FLOAT32, 2, 100 * GB), Compute(DType.BFLOAT16, 2, 900 * GB)))
    assert estimate_floor(Work(0, 0, {DType.FLOAT32: 1e9}), fast_half, safety=1).min_ns == pytest.approx(1e7)


def test_an_unbounded_or_unmeasured_type_has_no_floor():
    tiles = machine(unbounded={DType.FLOAT32: "tiles"})
    assert estimate_floor(Work(0, 0, {DType.FLOAT32: 1e9}), tiles).bound is Bound.NOTHING
    floor = estimate_floor(Work(0, 0, {DType.INT64: 1e9}), machine())
    assert (floor.bound, floor.min_ns) == (Bound.NOTHING, 0)
    assert not floor.is_impossible(0)


def test_the_safety_factor_lowers_the_floor_and_cannot_raise_it():
    work = Work(100_000, 0)
    assert estimate_floor(work, machine()).min_ns == pytest.approx(250 / SAFETY)
    with pytest.raises(ValueError, match="below 1"):
        estimate_floor(work, machine(), safety=0.9)


def test_a_time_below_the_floor_is_impossible_and_one_on_it_is_not():
    floor = estimate_floor(Work(11_100_000, 0), machine())
    assert floor.is_impossible(floor.min_ns * 0.999)
    assert not floor.is_impossible(floor.min_ns)


def test_an_unknown_cache_leaves_only_the_fastest_rate():
    blind = machine(capacities=((Level.L1, None),))
    assert estimate_floor(Work(10**9, 0), blind, safety=1).min_ns == pytest.approx(2.5e6)


def test_a_rate_missing_for_all_threads_is_scaled_from_one():
    lone = machine(computes=(Compute(DType.FLOAT32, 1, 60 * GB),), threads=4, bandwidths=bandwidths_of_one(10))
    assert lone.operations_per_s(DType.FLOAT32) == 240 * GB
    assert lone.bytes_per_s(Level.L1) == 40 * GB
    assert not lone.is_complete


def bandwidths_of_one(rate):
    return tuple(Bandwidth(level, Access.READ, 1, 1, rate * GB) for level, _ in CAPACITIES)


def test_negative_work_cannot_be_built():
    with pytest.raises(ValueError, match="negative"):
        Work(-1, 0)


def test_a_floor_says_what_it_was_made_of_in_json():
    floor = estimate_floor(Work(100_000, 8, {DType.FLOAT32: 5.0}), machine())
    data = json.loads(json.dumps(floor.to_json()))
    assert data["inputs"]["work"] == {"read_bytes": 100_000, "write_bytes": 8, "flops": {"float32": 5.0}}
    assert data["inputs"]["safety"] == SAFETY
    assert max(part["min_ns"] for part in data["inputs"]["floors"]) == data["min_ns"]


def test_the_roofline_shows_fractions_of_the_level_that_holds_the_work():
    point = place_on_roofline(Work(10_000_000, 0, {DType.FLOAT32: 2e7}), 1_000_000, machine())
    assert (point.level, point.bytes_per_s, point.flops_per_s) == (Level.DRAM, 1e10, 2e10)
    assert (point.memory_fraction, point.compute_fraction) == (0.5, 0.2)
    assert (point.intensity, point.ridge) == (2.0, 5.0)


def test_a_roofline_without_operations_or_bytes_has_none_and_not_zero():
    point = place_on_roofline(Work(1000, 0), 1000, machine())
    assert (point.compute_fraction, point.ridge) == (None, None)
    assert place_on_roofline(Work(0, 0, {DType.FLOAT32: 1.0}), 1000, machine()).intensity is None
    with pytest.raises(ValueError, match="positive"):
        place_on_roofline(Work(1, 0), 0, machine())


@pytest.mark.parametrize(("size", "level"), [(1, Level.L1), (100_001, Level.L2), (10**9, Level.DRAM)])
def test_a_working_set_lives_in_the_fastest_level_that_holds_it(size, level):
    assert home_level(size, machine()) is level
