"""Times against what is physically possible: the floor, the roofline, processor time against wall time."""

from __future__ import annotations

import numpy as np

from assay.core.dtypes import DType
from assay.core.verdicts import Finding, Weight
from assay.errors import Fault
from assay.machine.floor import FloorEstimate, RooflinePoint, Work, estimate_floor, place_on_roofline
from assay.machine.peaks import Peaks
from assay.referee.protocol.layout import Layout
from assay.referee.timing.pairing import Overhead
from assay.referee.timing.samples import Side, Triples

_CLOCK_SLACK, _CLOCK_SLACK_NS = 1.05, 100_000
"""The two clocks are read some microseconds apart, and the kernel charges its own wake-ups to the worker."""

_OUTSIDE_SLACK = 1.25
"""Copies over the bus scatter by some percent; a null call makes the same ones."""


def necessary_work(layout: Layout) -> Work:
    """What one call cannot avoid: inputs that matter, outputs, operations that the task declares unavoidable."""
    return Work(layout.necessary_read_bytes, layout.output_bytes, {DType.FLOAT32: layout.flops} if layout.flops else {})


def check_floor(timed: Triples, layout: Layout, peaks: Peaks | None) -> tuple[FloorEstimate | None, Finding | None]:
    """The least that one call must take here, and a finding where one took less or where that is not known."""
    if peaks is None:
        message = "this machine's peaks are not known, so no time is checked against the physical floor"
        return None, Finding("no-floor", Weight.NOTE, message, Fault.MACHINE)
    floor = estimate_floor(necessary_work(layout), peaks)
    fastest_ns = float(timed.time_ns[:, Side.CANDIDATE].min()) / layout.chain
    if not floor.is_impossible(fastest_ns):
        return floor, None
    message = f"a call of {fastest_ns / 1e3:.1f} us is below the floor of {floor.min_ns / 1e3:.1f} us"
    return floor, Finding(
        "impossible", Weight.FATAL, f"{message}: {floor.explanation}", Fault.CANDIDATE, floor.to_json()
    )


def check_clocks(timed: Triples, threads: int) -> Finding | None:
    """CPU time can exceed wall time only by the threads granted: more means more threads, or a clock that lies."""
    wall, cpu = timed.wall_ns[:, Side.CANDIDATE], timed.cpu_ns[:, Side.CANDIDATE]
    allowed = wall * threads * _CLOCK_SLACK + _CLOCK_SLACK_NS
    worst = int(np.argmax(cpu - allowed))
    if cpu[worst] <= allowed[worst]:
        return None
    message = f"charged {cpu[worst]:.0f} ns of CPU time in {wall[worst]:.0f} ns with {threads} threads granted"
    return Finding("clocks-disagree", Weight.FATAL, message, Fault.CANDIDATE)


def check_device_clock(timed: Triples, outside_ns: float | None) -> Finding | None:
    """The device's clock against the wall clock: it is within it, and what is left is what a null call leaves, too.

    A launcher whose memory was tampered with could tell short times; the time then lacks nowhere but outside.
    """
    if not np.any(timed.device_ns > 0):
        return None
    device, wall = timed.device_ns[:, Side.CANDIDATE], timed.wall_ns[:, Side.CANDIDATE]
    if np.any(device > wall):
        message = f"the device told {float(np.max(device - wall)):.0f} ns more than passed outside"
        return Finding("clocks-disagree", Weight.FATAL, message, Fault.CANDIDATE)
    beside = float(np.median(wall - device))
    if outside_ns is None or beside <= outside_ns * _OUTSIDE_SLACK + _CLOCK_SLACK_NS:
        return None
    message = (
        f"beside the device's own time a call took {beside / 1e3:.0f} us, and a call that launches nothing "
        f"{outside_ns / 1e3:.0f} us: the device's clock is not to be believed"
    )
    return Finding("clocks-disagree", Weight.DOUBT, message, Fault.CANDIDATE)


def roofline(timed: Triples, overhead: Overhead, layout: Layout, peaks: Peaks | None) -> dict[str, RooflinePoint]:
    """Where both sides' median calls lie under this machine's roofs; empty where the peaks are not known."""
    if peaks is None:
        return {}
    points = {}
    for name, side in (("baseline", Side.BASELINE), ("candidate", Side.CANDIDATE)):
        net_ns = (float(np.median(timed.time_ns[:, side])) - overhead.of(side)) / layout.chain
        points[name] = place_on_roofline(necessary_work(layout), max(net_ns, 1.0), peaks)
    return points
