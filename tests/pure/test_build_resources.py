"""Resources of device kernels: what ptxas says, what a multiprocessor then holds, and what cannot be launched."""

from dataclasses import replace

import pytest

from assay.build.diagnosis import diagnose
from assay.build.resources import KernelResources, occupancy, spills
from assay.core.verdicts import Weight
from assay.launch.resolved import ResolvedLaunch, ResolvedPlan

KERNEL = KernelResources("k", 32, 0, 0, 100, (8, 8), 0, 0)
LAUNCH = ResolvedLaunch(0, "k", (64, 1, 1), (256, 1, 1), (1, 1, 1), 0, ())


def codes(kernel=KERNEL, launch=LAUNCH, capability=90):
    return {finding.code: finding for finding in diagnose(ResolvedPlan((launch,), ()), (kernel,), capability)}


@pytest.mark.parametrize(("registers", "shared", "threads", "capability", "warps", "limit"), [
    (32, 0, 256, 90, 64, "warps"),
    (64, 0, 256, 90, 32, "registers"),
    (128, 0, 256, 90, 16, "registers"),
    (255, 0, 128, 90, 8, "registers"),
    (40, 0, 256, 90, 48, "registers"),  # 1280 registers a warp leave 51 warps, of which whole fours count: 48
    (32, 0, 32, 90, 32, "blocks"),
    (32, 100 << 10, 256, 90, 16, "shared memory"),
    (32, 113 << 10, 256, 90, 16, "shared memory"),
    (32, 114 << 10, 256, 90, 8, "shared memory"),
    (32, 0, 1024, 86, 32, "warps"),
    (32, 0, 48, 90, 64, "warps"),
    (128, 0, 1024, 90, 0, "registers"),
])  # fmt: skip
def test_occupancy_is_that_of_cudas_calculator(registers, shared, threads, capability, warps, limit):
    found = occupancy(replace(KERNEL, registers=registers), threads, shared, capability)
    assert (found.warps, found.limited_by) == (warps, limit)


def test_an_unknown_architecture_has_no_occupancy():
    assert occupancy(KERNEL, 256, 0, 75) is None
    assert codes(capability=75) == {}


def test_what_fits_no_multiprocessor_is_fatal():
    launch = replace(LAUNCH, block=(1024, 1, 1))
    assert codes(replace(KERNEL, registers=128), launch)["unlaunchable"].weight is Weight.FATAL
    assert codes(replace(KERNEL, shared_bytes=200 << 10), replace(LAUNCH, shared_bytes=40 << 10))["unlaunchable"]
    assert codes(KERNEL, launch) == {}


def test_what_costs_time_is_a_note_in_a_sentence():
    found = codes(replace(KERNEL, spill_store_bytes=40, spill_load_bytes=80, stack_bytes=48))
    assert list(found) == ["spills"]
    assert "40 bytes of stores and 80 of loads" in found["spills"].message
    assert "local-memory" in codes(replace(KERNEL, stack_bytes=48))
    low = codes(replace(KERNEL, registers=255), replace(LAUNCH, block=(128, 1, 1)))["low-occupancy"]
    assert low.weight is Weight.NOTE
    assert "8 of 64 warps" in low.message


def test_ptxas_report_is_read_by_kernel_and_anything_else_in_it_is_left():
    report = """ptxas info    : 8 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90a'
ptxas info    : Function properties for first
    0 bytes stack frame, 12 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 24 registers
ptxas info    : Function properties for helper
    8 bytes stack frame, 99 bytes spill stores, 99 bytes spill loads
ptxas info    : Compiling entry function 'second' for 'sm_90a'
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
x ptxas info    : Compiling entry function 'third' for 'sm_90a'
"""
    assert spills(report) == {"first": (12, 24), "second": (0, 0)}
