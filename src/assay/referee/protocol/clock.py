"""One timed call: the clock starts before the worker may run and stops when it is proved to have stopped."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass
from enum import Enum

from assay.machine.clocks import ProcessReader, monotonic_raw_ns
from assay.referee.processes.wire import PACKET_BYTES, Reply, unpack_reply
from assay.referee.protocol.placement import spread
from assay.sandbox.spawn import Child


class Outcome(Enum):
    """How a call ended, as the operating system saw it."""

    REPLIED = "replied"
    """One reply, then a confirmed stop."""
    DIED = "died"
    """The process ended, by a signal or by itself."""
    SILENT = "silent"
    """No reply before the deadline."""
    SPOKE_OUT_OF_TURN = "spoke-out-of-turn"
    """Words that no request asked for, or bytes that are no reply."""


@dataclass(frozen=True, slots=True)
class Call:
    """What one call cost, by three witnesses outside the worker. All in nanoseconds."""

    outcome: Outcome
    wall_ns: int
    cpu_ns: int
    idle_cpu_ns: int
    """CPU time that the stopped worker was charged since the call before; anything but about nil is impossible."""
    delayed_ns: int
    """Time that its threads stood in the scheduler's queue: others had the core."""
    reply: Reply | None


class Meter:
    """Times calls of one stopped child, and keeps what the kernel charged it in between."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._poller = select.poll()
        self._poller.register(child.channel.fileno(), select.POLLIN)
        self._poller.register(child.log_fd, select.POLLIN)
        self._reader = ProcessReader(child.pid)
        self._at_rest = self._reader.sample()
        self._cores = len(os.sched_getaffinity(0))
        self._busy: list[int] = []

    def call(self, packet: bytes, timeout_s: float) -> Call:
        """Send `packet` to the stopped child, let it run until it answers, stop it.

        The child must be stopped, and is stopped (or dead) when this returns.
        """
        child = self.child
        if self._pending():
            return Call(Outcome.SPOKE_OUT_OF_TURN, 0, 0, 0, 0, None)
        try:
            child.channel.send(packet)
        except OSError:
            return Call(Outcome.SPOKE_OUT_OF_TURN, 0, 0, 0, 0, None)  # it closed its end, or half of it
        before = self._reader.sample()
        with spread(self._busy):
            start = monotonic_raw_ns()
            os.kill(child.pid, signal.SIGCONT)
        answered = self._wait(start, timeout_s)
        os.kill(child.pid, signal.SIGSTOP)
        alive = child.wait_stopped()
        stop = monotonic_raw_ns()
        idle = before.cpu_ns - self._at_rest.cpu_ns
        if not alive:
            return Call(Outcome.DIED, stop - start, 0, idle, 0, None)
        self._at_rest = self._reader.sample()
        spent = self._at_rest.since(before)
        self._busy = self._reader.busiest(self._cores)
        outcome, reply = Outcome.SILENT, None
        if answered:
            reply = self._reply()
            outcome = Outcome.REPLIED if reply is not None else Outcome.SPOKE_OUT_OF_TURN
        return Call(outcome, stop - start, spent.cpu_ns, idle, spent.run_delay_ns, reply)

    def close(self) -> None:
        """Close the files that it reads; the child lives on."""
        self._reader.close()

    def _reply(self) -> Reply | None:
        try:
            return unpack_reply(self.child.channel.recv(PACKET_BYTES))
        except OSError:
            return None

    def _wait(self, start_ns: int, timeout_s: float) -> bool:
        """Sleep until the channel has a packet; take the log on the way, for a full pipe would block the worker."""
        channel = self.child.channel.fileno()
        deadline = start_ns + int(timeout_s * 1e9)
        while True:
            left_ms = (deadline - monotonic_raw_ns()) / 1e6
            if left_ms <= 0:
                return False
            for fd, _ in self._poller.poll(left_ms):
                if fd == channel:
                    return True
                self._take_log()

    def _take_log(self) -> None:
        before = len(self.child.log) + self.child.log_dropped_bytes
        self.child.drain_log()
        if len(self.child.log) + self.child.log_dropped_bytes == before:
            self._poller.unregister(self.child.log_fd)  # closed at the far end

    def _pending(self) -> bool:
        poller = select.poll()
        poller.register(self.child.channel.fileno(), select.POLLIN)
        return bool(poller.poll(0))
