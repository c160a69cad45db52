"""One timed call: the clock starts before the worker may run and stops when it is proved to have stopped."""

from __future__ import annotations

import ctypes
import os
import select
from dataclasses import dataclass
from enum import Enum

from assay.errors import InternalError
from assay.machine.clocks import ProcessReader
from assay.native.library import Window, library
from assay.referee.processes.wire import PACKET_BYTES, Reply, unpack_reply
from assay.sandbox.spawn import WATCHDOG, Child

_REPLIED, _SILENT, _ENDED, _INTERRUPTED, _LOG_READY = range(5)
"""What `assay_native_window` returns."""


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
    device_ns: int = 0
    """What the device's clock said, as the worker tells it; 0 without a device."""

    @property
    def time_ns(self) -> int:
        """The time that counts: the device's where there is one, which the wall clock bounds; else the wall clock's."""
        return self.device_ns or self.wall_ns


class Meter:
    """Times calls of one stopped child, and keeps what the kernel charged it in between."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self._library = library()
        self._pending = select.poll()
        self._pending.register(child.channel.fileno(), select.POLLIN)
        self._log_fd = child.log_fd
        self._reader = ProcessReader(child.pid)
        self._at_rest = self._reader.sample()
        self._cores = len(os.sched_getaffinity(0))
        self._busy: list[int] = []

    def call(self, packet: bytes, timeout_s: float) -> Call:
        """Send `packet` to the stopped child, let it run until it answers, stop it.

        The child must be stopped, and is stopped (or dead) when this returns.
        """
        child = self.child
        if self._pending.poll(0):
            return Call(Outcome.SPOKE_OUT_OF_TURN, 0, 0, 0, 0, None)
        try:
            child.channel.send(packet)
        except OSError:
            return Call(Outcome.SPOKE_OUT_OF_TURN, 0, 0, 0, 0, None)  # it closed its end, or half of it
        window = self._window(timeout_s)
        before = self._reader.sample()
        result = self._run(window)
        wall_ns = window.stop_ns - window.start_ns
        idle = before.cpu_ns - self._at_rest.cpu_ns
        if result == _ENDED:
            child.exit_status = window.status
            return Call(Outcome.DIED, wall_ns, 0, idle, 0, None)
        self._at_rest = self._reader.sample()
        spent = self._at_rest.since(before)
        self._busy = self._reader.busiest(self._cores)
        outcome, reply = Outcome.SILENT, None
        if result == _REPLIED:
            reply = self._reply()
            outcome = Outcome.REPLIED if reply is not None else Outcome.SPOKE_OUT_OF_TURN
        device_ns = reply.device_ns if reply is not None else 0
        return Call(outcome, wall_ns, spent.cpu_ns, idle, spent.run_delay_ns, reply, device_ns)

    def close(self) -> None:
        """Close the files that it reads; the child lives on."""
        self._reader.close()

    def _window(self, timeout_s: float) -> Window:
        """The threads that ran in the call before will run in this one; the main thread takes the request."""
        child = self.child
        threads = sorted(self._busy, key=lambda thread: thread != child.pid)[: len(Window().threads)]
        window = Window(child.pid, child.channel.fileno(), self._log_fd, len(threads))
        window.threads[: len(threads)] = threads
        window.timeout_ns = int(timeout_s * 1e9)
        return window

    def _run(self, window: Window) -> int:
        """The window until it is over; the log is taken on the way, for a full pipe would block the worker."""
        while True:
            with WATCHDOG.armed(window.pid, window.timeout_ns / 1e9):
                result = int(self._library.assay_native_window(ctypes.byref(window)))
            if result == _LOG_READY:
                self._take_log(window)
            elif result not in (_REPLIED, _SILENT, _ENDED, _INTERRUPTED):
                raise InternalError("a worker vanished", value=f"no child {window.pid}")
            elif result != _INTERRUPTED:
                return result

    def _reply(self) -> Reply | None:
        try:
            return unpack_reply(self.child.channel.recv(PACKET_BYTES))
        except OSError:
            return None

    def _take_log(self, window: Window) -> None:
        before = len(self.child.log) + self.child.log_dropped_bytes
        self.child.drain_log()
        if len(self.child.log) + self.child.log_dropped_bytes == before:
            self._log_fd = window.log = -1  # closed at the far end
