"""Clocks that read another process from outside, where it cannot patch them.

Resolution and median cost on a 2-core cloud Xeon, Linux 6.18 with HZ=250, Python 3.11:

- `monotonic_raw_ns`: 1 ns, 0.3 us. Stands still while the machine is suspended.
- `process_cpu_ns`: 0.6 us, any user's process, every thread, exited ones too. Exact while no thread runs; of each
  thread that is running it misses what that has used since the last tick (up to 4 ms). Not covered: child processes.
- `run_delay_ns`: 20 us. Counted when a wait ends, so exact while stopped. Not covered: threads that have exited.
- `ProcessReader.sample`: both of these from files opened once, 8 us for 3 threads.
- `minor_faults`: 12 us, every thread, exited ones too.

So stop a process and confirm the stop before reading it. CPU time counts what the guest was charged: steal within a
slice may be in it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from types import TracebackType

from assay.errors import MachineError

_CPUCLOCK_SCHED = 2
"""Linux include/linux/posix-timers_types.h: the scheduler's nanoseconds, of the whole thread group."""

_SCHEDSTAT_BYTES = 96
"""Three decimal 64-bit numbers, two blanks and a line feed take at most 63."""

_MINOR_FAULTS_FIELD = 7
"""Counted after the command: state, ppid, pgrp, session, tty_nr, tpgid, flags, minflt."""

_DIRECTORY_LINKS = 2
"""/proc/PID/task has this many links besides one for each thread (fs/proc/base.c, proc_task_getattr)."""


@dataclass(frozen=True, slots=True)
class ProcessSample:
    """One reading of a process.

    `run_delay_ns` and `slices` (turns on a core) sum over live threads and, at their last reading, over threads that
    have gone since the reader was opened; `lost_threads` counts those, whose last moments are not in the sums.
    """

    wall_ns: int
    cpu_ns: int
    run_delay_ns: int
    slices: int
    threads: int
    lost_threads: int

    def since(self, earlier: ProcessSample) -> ProcessSample:
        """What passed between two readings of one reader; `threads` stays the later count."""
        return ProcessSample(
            wall_ns=self.wall_ns - earlier.wall_ns,
            cpu_ns=self.cpu_ns - earlier.cpu_ns,
            run_delay_ns=self.run_delay_ns - earlier.run_delay_ns,
            slices=self.slices - earlier.slices,
            threads=self.threads,
            lost_threads=self.lost_threads - earlier.lost_threads,
        )


def monotonic_raw_ns() -> int:
    """The referee's wall clock: CLOCK_MONOTONIC_RAW, which no one sets and NTP does not slew."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)


def cpu_clock_id(pid: int) -> int:
    """The POSIX CPU clock of a process, as clock_getcpuclockid(3) builds it. No right over the process is needed."""
    return (~pid << 3) | _CPUCLOCK_SCHED


def process_cpu_ns(pid: int) -> int:
    """CPU time of all threads that a process ever had. Raises ProcessLookupError if there is no such process."""
    try:
        return time.clock_gettime_ns(cpu_clock_id(pid))
    except OSError as error:
        raise ProcessLookupError(f"no CPU clock for process {pid}: it has gone, or is a thread's number") from error


def run_delay_ns(pid: int) -> int:
    """Time that the live threads of a process were ready to run and waited for a core.

    Raises ProcessLookupError when it has gone, MachineError when the kernel keeps no such account.
    """
    with ProcessReader(pid) as reader:
        return reader.sample().run_delay_ns


def minor_faults(pid: int) -> int:
    """Pages that all threads of a process, exited ones too, were given on first touch; 12 us.

    Raises FileNotFoundError when it has gone.
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        return parse_minor_faults(file.read())


def parse_minor_faults(stat: bytes) -> int:
    """The minflt field of a /proc/PID/stat text (proc_pid_stat(5)), whose command may hold blanks and brackets."""
    return int(stat.rpartition(b")")[2].split()[_MINOR_FAULTS_FIELD])


def parse_schedstat(content: bytes) -> tuple[int, int, int]:
    """CPU ns, run-queue wait ns and slices from a schedstat file; raises ValueError for any other text."""
    cpu_ns, delay_ns, slices = content.split()
    return int(cpu_ns), int(delay_ns), int(slices)


class ProcessReader:
    """Reads one process again and again from files opened once.

    An open file under /proc names the process itself, so a recycled number is an error and never another process. A
    change of threads shows in the link count of /proc/PID/task (1.5 us against 5 us for listing it).
    Raises ProcessLookupError when the process has gone, MachineError when the kernel keeps no schedstat.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._clock = cpu_clock_id(pid)
        self._files: dict[int, int] = {}
        self._last: dict[int, tuple[int, int]] = {}
        self._cpu: dict[int, tuple[int, int]] = {}
        self._gone_delay_ns = 0
        self._gone_slices = 0
        self._lost = 0
        try:
            self._folder = os.open(f"/proc/{pid}/task", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise ProcessLookupError(f"no process {pid} in /proc") from error
        try:
            self._rescan()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ProcessReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; the reader is of no use afterwards. Closing twice is fine."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def sample(self) -> ProcessSample:
        """Read now. Raises ProcessLookupError once the process was reaped; a zombie can still be read."""
        if os.fstat(self._folder).st_nlink - _DIRECTORY_LINKS != len(self._files) or not self._read_threads():
            self._rescan()
            self._read_threads()
        if not self._files:
            raise ProcessLookupError(f"process {self.pid} has gone")
        last = self._last.values()
        return ProcessSample(
            wall_ns=time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW),
            cpu_ns=process_cpu_ns(self.pid),
            run_delay_ns=self._gone_delay_ns + sum(delay for delay, _ in last),
            slices=self._gone_slices + sum(slices for _, slices in last),
            threads=len(self._files),
            lost_threads=self._lost,
        )

    def busiest(self, count: int) -> list[int]:
        """The live threads that ran most between the last two samples, at most `count`; idle ones are left out."""
        spent = {tid: self._cpu[tid][1] for tid in self._files if tid in self._cpu}
        return sorted((tid for tid in spent if spent[tid] > 0), key=lambda tid: -spent[tid])[:count]

    def _read_threads(self) -> bool:
        """Read every known thread; False when one of them has gone."""
        complete = True
        for tid, file in list(self._files.items()):
            try:
                cpu_ns, delay_ns, slices = parse_schedstat(os.pread(file, _SCHEDSTAT_BYTES, 0))
            except ProcessLookupError:
                self._drop(tid)
                complete = False
            else:
                self._last[tid] = (delay_ns, slices)
                self._cpu[tid] = (cpu_ns, cpu_ns - self._cpu.get(tid, (0, 0))[0])
        return complete

    def _drop(self, tid: int) -> None:
        os.close(self._files.pop(tid))
        delay_ns, slices = self._last.pop(tid, (0, 0))
        self._gone_delay_ns += delay_ns
        self._gone_slices += slices
        self._lost += 1

    def _rescan(self) -> None:
        """Open threads that appeared, drop those that left."""
        present = {int(name) for name in os.listdir(self._folder)}
        for tid in set(self._files) - present:
            self._drop(tid)
        for tid in present - set(self._files):
            try:
                self._files[tid] = os.open(f"{tid}/schedstat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._folder)
            except (FileNotFoundError, ProcessLookupError) as error:
                if str(tid) in os.listdir(self._folder):
                    raise MachineError(
                        "The kernel keeps no account of run-queue waits.",
                        value=f"/proc/{self.pid}/task/{tid}/schedstat is missing",
                        rule="a timed call is kept only if the time it waited for a core is known",
                        next_step="Use a kernel with CONFIG_SCHED_INFO (every distribution's has it).",
                    ) from error
                self._lost += 1


def _thread_ids(pid: int) -> list[int]:
    try:
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    except FileNotFoundError as error:
        raise ProcessLookupError(f"no process {pid} in /proc") from error
