"""The formats that the clocks read."""

from __future__ import annotations

import pytest

from assay.machine import clocks

STATUS = "Name:\tpython\nThreads:\t3\nvoluntary_ctxt_switches:\t28\nnonvoluntary_ctxt_switches:\t243\n"


def test_steal_is_the_eighth_number_in_ticks():
    assert clocks.parse_steal_ns("cpu  11230 0 4407 244326 783 0 235 865 0 0\n", 100) == 8_650_000_000


def test_a_kernel_without_steal_is_none_and_not_zero():
    assert clocks.parse_steal_ns("cpu  11230 0 4407 244326 783 0 235\n", 100) is None
    assert clocks.parse_steal_ns("", 100) is None


def test_switches_are_told_apart():
    assert clocks.parse_switches(STATUS) == clocks.Switches(28, 243)
    with pytest.raises(KeyError):
        clocks.parse_switches("Name:\tpython\n")


def test_schedstat_has_three_numbers():
    assert clocks.parse_schedstat(b"22621482 7310395 28\n") == (22621482, 7310395, 28)
    with pytest.raises(ValueError, match="unpack"):
        clocks.parse_schedstat(b"")


def test_the_clock_of_a_process_is_named_as_posix_names_it():
    assert clocks.cpu_clock_id(1234) == (~1234 << 3) | 2


def test_samples_subtract_to_what_passed_between_them():
    early = clocks.ProcessSample(wall_ns=10, cpu_ns=1, run_delay_ns=2, slices=3, threads=4, lost_threads=0)
    late = clocks.ProcessSample(wall_ns=110, cpu_ns=91, run_delay_ns=5, slices=4, threads=3, lost_threads=1)
    passed = clocks.ProcessSample(wall_ns=100, cpu_ns=90, run_delay_ns=3, slices=1, threads=3, lost_threads=1)
    assert late.since(early) == passed
