"""The formats that the clocks read."""

from __future__ import annotations

import pytest

from assay.machine import clocks


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
