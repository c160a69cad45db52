"""Peaks measured on this machine: plausible, ordered, cached."""

from __future__ import annotations

import pytest

from assay.core.dtypes import DType
from assay.machine.cache_dirs import find_dirs
from assay.machine.floor import Work, estimate_floor
from assay.machine.measure import find_peaks
from assay.machine.peaks import READS, Level
from assay.machine.survey import read_facts

FASTEST_CLOCK_HZ = 6.5e9
"""Above any clock sold so far."""
WIDEST_FLOAT32 = 2 * 16 * 2
"""Two AVX-512 multiply-adds a cycle."""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    facts = read_facts()
    dirs = find_dirs({"ASSAY_HOME": str(tmp_path_factory.mktemp("home"))})
    seen = []
    peaks = find_peaks(facts, dirs, progress=lambda what, done, total: seen.append((what, done, total)))
    return facts, dirs, peaks, seen


def test_levels_are_ordered_from_fast_to_slow(measured):
    _, _, peaks, _ = measured
    if Level.DRAM not in peaks.levels or Level.L2 not in peaks.levels:
        pytest.skip("this machine hides its caches")
    for threads in (1, None):
        rates = {level: peaks.bytes_per_s(level, READS, threads) for level in peaks.levels}
        assert rates[Level.L1] > rates[Level.L2] > rates[Level.DRAM]
    assert 1e9 < peaks.bytes_per_s(Level.DRAM, READS, 1) < 200e9


def test_compute_peaks_are_what_a_processor_can_do(measured):
    facts, _, peaks, _ = measured
    single = peaks.operations_per_s(DType.FLOAT32, threads=1)
    assert 1e9 < single < FASTEST_CLOCK_HZ * WIDEST_FLOAT32
    assert peaks.operations_per_s(DType.FLOAT64, threads=1) == pytest.approx(single / 2, rel=0.4)
    assert peaks.operations_per_s(DType.FLOAT32) <= single * facts.cores * 1.5


def test_progress_was_told_for_every_result(measured):
    _, _, _, seen = measured
    assert [done for _, done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][1] <= seen[-1][2]


def test_a_second_question_is_answered_from_the_cache(measured):
    facts, dirs, peaks, _ = measured
    if not peaks.is_complete:
        pytest.skip("the machine was too busy for all threads at once; peaks will be completed later")
    told = []
    assert find_peaks(facts, dirs, progress=lambda *progress: told.append(progress)) == peaks
    assert not told


def test_floors_on_this_machine_rise_with_the_work(measured):
    _, _, peaks, _ = measured
    floors = [estimate_floor(Work(size, size), peaks).min_ns for size in (1 << 12, 1 << 20, 1 << 26)]
    assert 0 < floors[0] < floors[1] < floors[2]
