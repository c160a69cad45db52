"""Measures peaks with `peaks.cpp`, compiled here, and keeps them in the cache.

Compiling takes 0.6-0.9 s and measuring 1.6-2.1 s on a quiet 2-core cloud Xeon, three times as long at load 8. The
program is ours and trusted; it runs as a subprocess all the same, so that its threads and memory are gone afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from assay.core.dtypes import DType
from assay.errors import InternalError, MachineError
from assay.machine.cache_dirs import CacheDirs, atomic_write
from assay.machine.facts import MachineFacts
from assay.machine.gxx import compile_trusted
from assay.machine.peaks import Access, Bandwidth, Compute, Level, Peaks

SOURCE = Path(__file__).with_name("peaks.cpp")

FLAGS = ("-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-fopenmp")
"""-ffp-contract=fast makes fused multiply-adds of vector expressions (GCC's default, but not clang's)."""

_SECONDS = 120.0
"""A bound for broken machines; at load 8 it took 8 s."""

_UNKNOWN_CACHES = 16 << 10
"""Bytes per thread where caches are unknown: fits every first-level cache since 1997, so the peak is the highest."""

_DRAM_LEAST, _DRAM_MOST = 256 << 20, 512 << 20
"""Bytes of the set that stands for memory: above most caches, and cheap to touch (0.2 s each 256 MiB)."""

_LEAST_CLEAN = 5
"""Clean windows that make a result on all threads a peak; with one or two it was up to 1.9x low at load 8."""

Progress = Callable[[str, int, int], None]
"""Called with what was just done, how many results there are, and how many there will be."""


def find_peaks(facts: MachineFacts, dirs: CacheDirs, progress: Progress | None = None, refresh: bool = False) -> Peaks:
    """The cached peaks of this machine, measured and cached where there are none.

    `refresh` measures again and keeps the larger of each rate; so do cached peaks that a busy machine left incomplete.
    A cache file that cannot be understood is replaced.
    Raises MachineError as `measure_peaks` and `atomic_write` do.
    """
    cached = load_peaks(facts, dirs)
    if cached is not None and cached.is_complete and not refresh:
        return cached
    peaks = measure_peaks(facts, progress)
    if cached is not None:
        peaks = cached.merged(peaks)
    atomic_write(_file(facts, dirs), peaks.to_bytes())
    return peaks


def load_peaks(facts: MachineFacts, dirs: CacheDirs) -> Peaks | None:
    """The cached peaks; None when there are none for this machine and its count of cores, or they are unreadable."""
    try:
        peaks = Peaks.from_json(json.loads(_file(facts, dirs).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a cache: what is broken or of another version is measured again and replaced
    same = peaks.machine_identity == facts.identity and peaks.threads == facts.cores
    return peaks if same else None


def measure_peaks(facts: MachineFacts, progress: Progress | None = None) -> Peaks:
    """Compile and run the measurement.

    Raises:
        MachineError: no compiler, it fails, or there is too little memory; the message has the next step.
    """
    plan = plan_levels(facts)
    with tempfile.TemporaryDirectory(prefix="assay-peaks-") as folder:
        program = Path(folder) / "peaks"
        compile_trusted([SOURCE], FLAGS, program, "measure this machine's peaks")
        lines = _run(program, facts.cores, plan, progress)
    return parse_results(lines, facts, plan)


def plan_levels(facts: MachineFacts) -> tuple[tuple[Level, int], ...]:
    """Bytes per thread for each level: half of a private cache, so that it holds the set beside other data.

    A third level is measured just above the second, at its fastest; memory with a set larger than every cache where
    that fits `_DRAM_MOST` and a quarter of the free memory. Both choices can only raise a peak.
    """
    sizes = [(level, facts.cache_bytes(number)) for number, level in enumerate((Level.L1, Level.L2, Level.L3), start=1)]
    known = [(level, size // facts.cores) for level, size in sizes if size is not None]
    if not known:
        return ((Level.L1, _UNKNOWN_CACHES),)
    plan: list[tuple[Level, int]] = []
    for level, size in known:
        half = size // 2
        plan.append((level, min(half, 8 * plan[-1][1]) if level is Level.L3 and plan else half))
    largest = known[-1][1] * facts.cores
    memory = min(max(4 * largest, _DRAM_LEAST), max(_DRAM_LEAST, largest * 5 // 4), _DRAM_MOST)
    if facts.memory_available_bytes is not None:
        memory = min(memory, facts.memory_available_bytes // 4)
    plan.append((Level.DRAM, max(memory // facts.cores, _UNKNOWN_CACHES)))
    return tuple(plan)


def parse_results(lines: Iterable[str], facts: MachineFacts, plan: tuple[tuple[Level, int], ...]) -> Peaks:
    """Peaks from the program's lines, whose format is in `peaks.cpp`.

    Raises InternalError for any other line, MachineError when the machine was too busy for even one clean window.
    """
    moved: list[Bandwidth] = []
    done: list[Compute] = []
    unbounded: dict[DType, str] = {}
    for line in lines:
        words = line.split()
        try:
            if words[0] == "bandwidth":
                level, threads, access, size, rate, clean = words[1:]
                if _is_peak(int(threads), int(clean)):
                    moved.append(Bandwidth(Level(level), Access(access), int(threads), int(size), float(rate)))
            elif words[0] == "compute":
                dtype, threads, rate, clean = words[1:]
                if _is_peak(int(threads), int(clean)):
                    done.append(Compute(DType(dtype), int(threads), float(rate)))
            elif words[0] == "unbounded":
                unbounded[DType(words[1])] = " ".join(words[2:])
            else:
                raise ValueError(words[0])
        except (ValueError, IndexError) as error:
            raise InternalError("The peak measurement wrote a line that Assay cannot read.", value=line) from error
    _check_alone(moved, done, plan)
    numbers = {Level.L1: 1, Level.L2: 2, Level.L3: 3}
    capacities = tuple((level, facts.cache_bytes(numbers[level]) if level in numbers else None) for level, _ in plan)
    return Peaks(facts.identity, facts.cores, capacities, tuple(moved), tuple(done), unbounded)


def _is_peak(threads: int, clean: int) -> bool:
    """Whether a result had enough clean windows; one thread alone needs only one, for it waits for nobody."""
    return clean >= (1 if threads == 1 else _LEAST_CLEAN)


def _check_alone(moved: list[Bandwidth], done: list[Compute], plan: tuple[tuple[Level, int], ...]) -> None:
    """Demand what every floor needs on one thread; more threads can be bounded from that."""
    seen = {(b.level, b.access) for b in moved if b.threads == 1}
    needed = {(level, access) for level, _ in plan for access in (Access.READ, Access.WRITE)}
    if needed <= seen and any(c.dtype is DType.FLOAT32 and c.threads == 1 for c in done):
        return
    raise MachineError(
        "The machine is too busy to measure its peaks.",
        value=f"{len(needed - seen)} of {len(needed)} bandwidths never ran undisturbed",
        rule="a peak needs a window of about 1 ms in which the measurement is not preempted",
        next_step="Try again when other work is done; peaks are measured once and cached.",
    )


def _run(program: Path, threads: int, plan: tuple[tuple[Level, int], ...], progress: Progress | None) -> list[str]:
    """Run the program, telling of each line as it comes."""
    command = [str(program), str(threads), *(f"{level.value}:{size}" for level, size in plan)]
    # Bound threads stay with the memory that they touched first; spinning barriers start windows together.
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_", "LD_"))}
    env |= {"OMP_PROC_BIND": "true", "OMP_WAIT_POLICY": "active", "OMP_DYNAMIC": "false"}
    total = (1 if threads == 1 else 2) * (len(plan) * len(Access) + 5)
    lines: list[str] = []
    measured = 0
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=env) as process:
            assert process.stdout is not None
            end = threading.Timer(_SECONDS, process.kill)
            end.start()
            for line in process.stdout:
                lines.append(line.strip())
                # How many types are unbounded depends on the processor.
                if progress is not None and not line.startswith("unbounded"):
                    measured += 1
                    progress(" ".join(line.split()[:4]), measured, total)
            end.cancel()
        if process.returncode != 0:
            errors.seek(0)
            raise _failed(errors.read().strip()[:2000] or f"exit status {process.returncode}")
    return lines


def _failed(why: str) -> MachineError:
    return MachineError(
        "The peak measurement did not run.",
        value=why,
        rule="peaks are measured by a small native program",
        next_step="Check that TMPDIR allows executables, and some 700 MB of memory are free.",
    )


def _file(facts: MachineFacts, dirs: CacheDirs) -> Path:
    return dirs.peaks / f"{facts.identity}.json"
