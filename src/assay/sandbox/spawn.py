"""The referee's side of a zygote: start it, ask it for children, stop, continue and end them."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from assay.errors import InternalError, MachineError
from assay.sandbox import zygote as zygote_program
from assay.sandbox.policy import FIRST_UID, LAST_UID, Policy
from assay.sandbox.syscalls import PR_GET_CHILD_SUBREAPER, PR_SET_CHILD_SUBREAPER, prctl

_LOG_KEEP_BYTES = 16 << 10
_LOG_READS = 16
_START_SECONDS = 120.0
"""Importing torch takes 1.7 s here and 20 s on a cold disk."""

# Without heap reuse a fresh large output page-faults on every call and softmax takes 20 ms instead of 5 (2048 x 4096).
_HEAP_REUSE = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(16 << 30),
    # A large pad would be touched piece by piece, 8 MB a call, and page-fault for the first dozen calls.
    "MALLOC_TOP_PAD_": str(1 << 20),
    "MALLOC_ARENA_MAX": "1",
}


class _Watchdog:
    """Kills a child whose stop is not confirmed: some waits in the kernel can be killed but not stopped.

    One sleeping thread for all children, started when first needed; it wakes once a second.
    """

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def armed(self, pid: int, granted_s: float = 0.0) -> Iterator[None]:
        """Kill `pid` if this lasts longer than `_STOP_SECONDS` beyond what is granted."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, daemon=True)
            self._thread.start()
        self._deadlines[pid] = time.monotonic() + granted_s + _STOP_SECONDS
        try:
            yield
        finally:
            self._deadlines.pop(pid, None)

    def _watch(self) -> None:
        while True:
            time.sleep(1.0)
            now = time.monotonic()
            for pid in [pid for pid, deadline in list(self._deadlines.items()) if deadline < now]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


_STOP_SECONDS = 5.0
"""A stop takes 8 to 36 us; on a machine loaded eightfold 50 ms were seen."""
WATCHDOG = _Watchdog()
"""The one of this process."""


@dataclass(slots=True)
class Child:
    """A confined process. `channel` is a SEQPACKET socket to it; `log` collects the start of what it prints."""

    pid: int
    channel: socket.socket
    log_fd: int
    layers: tuple[str, ...] = ()
    exit_status: int | None = None
    log: bytearray = field(default_factory=bytearray)
    log_dropped_bytes: int = 0

    def stop(self) -> bool:
        """Stop every thread and wait until all have stopped; False where the child has ended instead."""
        os.kill(self.pid, signal.SIGSTOP)
        return self.wait_stopped()

    def wait_stopped(self) -> bool:
        """Wait until a sent stop is confirmed; False where the child has ended instead."""
        with WATCHDOG.armed(self.pid):
            _, status = os.waitpid(self.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return True
        self.exit_status = status
        return False

    def resume(self) -> None:
        """Let a stopped child run."""
        os.kill(self.pid, signal.SIGCONT)

    def ended(self) -> bool:
        """Whether the child has ended; collects its exit status."""
        if self.exit_status is None:
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.exit_status = status
        return self.exit_status is not None

    def drain_log(self) -> None:
        """Take some of what the child has printed; only the first part is kept.

        Bounded: a child that prints faster than this reads must not hold the referee here.
        """
        with contextlib.suppress(BlockingIOError):
            for _ in range(_LOG_READS):
                chunk = os.read(self.log_fd, 65536)
                if not chunk:
                    return
                room = _LOG_KEEP_BYTES - len(self.log)
                self.log += chunk[: max(room, 0)]
                self.log_dropped_bytes += max(len(chunk) - max(room, 0), 0)

    def log_text(self) -> str:
        """The kept part of the log as printable text."""
        self.drain_log()
        return printable(self.log)

    def kill(self) -> None:
        """End the child and, with its process namespace, everything that it started. Safe to call twice."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                self.exit_status = os.waitpid(self.pid, 0)[1]
        self.channel.close()
        if self.log_fd >= 0:
            self.drain_log()
            os.close(self.log_fd)
            self.log_fd = -1


def printable(raw: bytes | bytearray) -> str:
    """Hostile bytes as text that cannot steer a terminal: what is not printable becomes a replacement character."""
    text = raw.decode(errors="replace")
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


class Zygote:
    """A running zygote; a context manager. Children must be killed by whoever asked for them.

    Start it from a thread that lives as long as the zygote: the kernel ends it with that thread.

    Args:
        preload: modules that it imports before it forks, the children's entry modules among them.
        threads: OpenMP threads that a child may use.
        visible: folders that children may read, besides the system's and the interpreter's.
        libraries: shared objects whose symbols every child finds loaded.
        import_path: folders that modules may also be imported from; its interpreter knows Assay's own otherwise.
        prepare: functions ("module:function", preloaded) that it calls before it forks; they must start no thread.
        environment: variables that it and its children see besides the few that all have.
    """

    def __init__(
        self, preload: Iterable[str], *, threads: int = 1, visible: Iterable[str] = (), libraries: Iterable[str] = (),
        import_path: Iterable[str] = (), prepare: Iterable[str] = (), environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._next_uid = FIRST_UID
        self._had_subreaper = _subreaper()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._config = {
            "preload": list(preload),
            "visible": [*_interpreter_folders(), *visible],
            "libraries": list(libraries),
            "import_path": list(import_path),
            "prepare": list(prepare),
            "yielding": not _may_be_real_time(),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-B", "-c", _BOOT, str(theirs.fileno())],
            env=_environment(threads) | dict(environment or {}),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # An interrupt from the keyboard is the referee's to handle. Not a session of its own: the scheduler shares
            # cores between sessions (autogroup), and workers, spinners and referee must compete as one.
            process_group=0,
            cwd="/",
        )
        theirs.close()
        self._control.send(json.dumps(self._config).encode())
        self._ready = False

    def wait_ready(self) -> None:
        """Wait until imports are done. Raises MachineError with the zygote's own words where it died."""
        if self._ready:
            return
        self._control.settimeout(_START_SECONDS)
        packet = self._control.recv(zygote_program.PACKET_BYTES)
        if not packet:
            stderr = self._process.stderr.read().decode(errors="replace")[-2000:] if self._process.stderr else ""
            raise MachineError("the sandbox's zygote did not start", value=stderr.strip(), next_step="run assay doctor")
        self._ready = True

    def spawn(self, entry: str, args: Mapping[str, Any], fds: Iterable[int] = (), **limits: Any) -> Child:
        """A confined child that runs `entry` ("module:function", preloaded) as function(channel, fds, args).

        `limits` are fields of `Policy`. Raises InternalError where the zygote refuses.
        """
        self.wait_ready()
        policy = Policy(uid=self._uid(), **limits)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        log_read, log_write = os.pipe()
        os.set_blocking(log_read, False)
        request = {"entry": entry, "args": dict(args), "policy": policy.to_json()}
        try:
            packet = json.dumps(request).encode()
            socket.send_fds(self._control, [packet], [theirs.fileno(), log_write, log_write, *fds])
            reply = json.loads(self._control.recv(zygote_program.PACKET_BYTES) or b'{"error": "it has ended"}')
        finally:
            theirs.close()
            os.close(log_write)
        if "pid" not in reply:
            raise InternalError("the zygote made no child", value=str(reply.get("error")))
        child = Child(reply["pid"], ours, log_read)
        ours.settimeout(30)
        hello = ours.recv(4096)
        if not hello:
            child.kill()
            raise InternalError("a confined child ended at once", value=child.log_text())
        child.layers = tuple(json.loads(hello)["layers"])
        return child

    def close(self) -> None:
        """End the zygote and wait for it."""
        self._control.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
        if not self._had_subreaper:
            prctl(PR_SET_CHILD_SUBREAPER, 0)

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _uid(self) -> int:
        uid, self._next_uid = self._next_uid, self._next_uid + 1
        if self._next_uid > LAST_UID:
            self._next_uid = FIRST_UID
        return uid


# The control socket must be descriptor 3 whatever number it had here.
_BOOT = (
    "import os, sys; fd = int(sys.argv[1]); fd == 3 or (os.dup2(fd, 3), os.close(fd)); "
    "from assay.sandbox import zygote; zygote.main()"
)


def _environment(threads: int) -> dict[str, str]:
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/scratch",
        "TMPDIR": "/scratch",
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": str(threads),
        "TORCHINDUCTOR_CACHE_DIR": "/scratch/inductor",
        "TORCHINDUCTOR_COMPILE_THREADS": "1",  # no pool of compiler processes
        "TORCHINDUCTOR_VEC_ISA_OK": "1",  # no trial compilation for each instruction set
        "TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS": "0",  # no preprocessor run for each cached kernel
        **_HEAP_REUSE,
    }


def _interpreter_folders() -> list[str]:
    installed = [path for path in sys.path if "site-packages" in path or "dist-packages" in path]
    standard = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")}
    package = str(Path(zygote_program.__file__).parents[2])
    return sorted({sys.prefix, sys.base_prefix, *standard, *installed, package})


def _may_be_real_time() -> bool:
    """Whether this process may preempt its workers at will; where not, they get the lowest priority instead.

    Either way the referee takes the core back when a worker has answered. On equal terms it waited for the next tick in
    a quarter of the calls, 2 to 4 ms; against the lowest priority the same 1 ms kernel scattered as little as here.
    """
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))
        os.sched_setscheduler(0, *before)
    except OSError:
        return False
    return True


def _subreaper() -> bool:
    """Whether this process already adopts its descendants' orphans."""
    value = ctypes.c_int(0)
    prctl(PR_GET_CHILD_SUBREAPER, ctypes.addressof(value))
    return bool(value.value)
