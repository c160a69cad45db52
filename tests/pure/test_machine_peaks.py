"""Peaks as data: results of the measuring program, merging, the cache."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from assay.core.dtypes import DType
from assay.errors import InternalError, MachineError
from assay.machine import measure
from assay.machine.cache_dirs import find_dirs
from assay.machine.facts import Cache, MachineFacts
from assay.machine.peaks import Access, Level, Peaks

FACTS = MachineFacts(
    machine="x86_64",
    cpu_model="Xeon",
    isa=("avx512f",),
    cores=2,
    cpu_quota=None,
    memory_total_bytes=24 << 30,
    memory_available_bytes=20 << 30,
    caches=(Cache(1, "data", 48 << 10, 1), Cache(2, "unified", 2 << 20, 1), Cache(3, "unified", 260 << 20, 2)),
    kernel="6.18",
    hypervisor="kvm",
    container="none",
    huge_pages="madvise",
    glibc="2.36",
    python="3.11.7",
    torch="2.13.0",
    gxx="12.2.0",
    load_average=0.1,
    cpu_pressure=0.0,
    unknown={"cpu_quota": "no quota"},
)
PLAN = ((Level.L1, 24576), (Level.DRAM, 1 << 28))
LINES = [
    "compute float32 1 1.0e11 50",
    "bandwidth L1 1 read 24576 3.0e11 50",
    "bandwidth L1 1 write 24576 1.5e11 50",
    "bandwidth DRAM 1 read 268435456 2.0e10 5",
    "bandwidth DRAM 1 write 268435456 1.0e10 5",
    "unbounded int8 dot products without AVX-512 VNNI are not measured",
]
BOTH = [*LINES, *(line.replace(" 1 ", " 2 ", 1) for line in LINES[:5])]


def peaks(lines=BOTH):
    return measure.parse_results(lines, FACTS, PLAN)


def test_results_become_peaks_with_the_capacity_of_each_level():
    found = peaks()
    assert found.capacities == ((Level.L1, 96 << 10), (Level.DRAM, None))
    assert found.bytes_per_s(Level.L1, frozenset({Access.READ})) == 3e11
    assert found.operations_per_s(DType.FLOAT32, threads=1) == 1e11
    assert "VNNI" in found.unbounded[DType.INT8]
    assert found.is_complete


def test_a_result_on_all_threads_needs_enough_clean_windows():
    found = peaks([*LINES, "compute float32 2 1.1e11 1"])
    assert found.operations_per_s(DType.FLOAT32) == 2e11
    assert not found.is_complete


def test_a_machine_too_busy_for_one_thread_is_an_error_with_a_next_step():
    busy = [line.replace(" 50", " 0") for line in LINES]
    with pytest.raises(MachineError, match="too busy") as caught:
        peaks(busy)
    assert "Try again" in caught.value.next_step


@pytest.mark.parametrize("line", ["", "nonsense", "bandwidth L9 1 read 1 1 1", "compute float32 1 fast 3"])
def test_a_line_that_nobody_can_read_is_our_own_fault(line):
    with pytest.raises(InternalError):
        peaks([*BOTH, line])


def test_peaks_survive_their_file():
    assert Peaks.from_json(json.loads(peaks().to_bytes())) == peaks()


def test_merging_keeps_the_larger_of_each_rate():
    other = peaks([line.replace("3.0e11", "4.0e11").replace("1.0e11", "0.5e11") for line in BOTH])
    merged = peaks().merged(other)
    assert merged.bytes_per_s(Level.L1) == 4e11
    assert merged.operations_per_s(DType.FLOAT32) == 1e11
    with pytest.raises(ValueError, match="different machines"):
        peaks().merged(replace(other, machine_identity="else"))


def test_the_plan_halves_private_caches_and_exceeds_the_last_one():
    plan = dict(measure.plan_levels(FACTS))
    assert (plan[Level.L1], plan[Level.L2], plan[Level.L3]) == (24 << 10, 1 << 20, 8 << 20)
    assert 260 << 20 < plan[Level.DRAM] * FACTS.cores <= 512 << 20


def test_the_plan_takes_no_more_than_a_quarter_of_free_memory():
    small = replace(FACTS, memory_available_bytes=256 << 20)
    assert dict(measure.plan_levels(small))[Level.DRAM] * 2 == 64 << 20


def test_unknown_caches_leave_one_level_that_is_surely_fast():
    blind = replace(FACTS, caches=None, unknown={**FACTS.unknown, "caches": "hidden"})
    assert [level for level, _ in measure.plan_levels(blind)] == [Level.L1]


def test_cached_peaks_come_back_without_measuring(tmp_path):
    dirs = find_dirs({"ASSAY_HOME": str(tmp_path)})
    measure.atomic_write(dirs.peaks / f"{FACTS.identity}.json", peaks().to_bytes())
    assert measure.find_peaks(FACTS, dirs) == peaks()
    assert measure.load_peaks(replace(FACTS, cores=4), dirs) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"version": 99}'])
def test_a_broken_cache_is_no_cache(tmp_path, content):
    dirs = find_dirs({"ASSAY_HOME": str(tmp_path)})
    measure.atomic_write(dirs.peaks / f"{FACTS.identity}.json", content)
    assert measure.load_peaks(FACTS, dirs) is None


def test_without_a_compiler_the_error_says_how_to_get_one(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MachineError, match="no C\\+\\+ compiler") as caught:
        measure.measure_peaks(FACTS)
    assert "apt-get install g++" in caught.value.next_step
