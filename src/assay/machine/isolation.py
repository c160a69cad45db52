"""Which isolation layers this machine really offers.

Every layer is tried, in a forked child of its own that changes only itself and is gone when the probe returns: a
kernel version or a config file says nothing about container run-times, sysctls and security modules. A probe that
hangs is killed after `PROBE_SECONDS` with its whole process group. No probe touches the calling process.

A layer that is available here can be used by a worker started with the same rights; that it is *used* is for the
referee to see to. Probing proves nothing about the absence of kernel bugs.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from assay.errors import InternalError
from assay.machine import probes, syscalls

PROBE_SECONDS = 5.0
"""A probe takes 1-20 ms here; one that needs seconds is stuck."""

_ANSWER_BYTES = 4096


class Layer(Enum):
    """One thing that can stand between a candidate and the referee."""

    ROOT = "root"
    """The caller is root with CAP_SETUID: a worker can get a user of its own."""
    USER_NAMESPACE = "user-namespace"
    """A process without privileges can create a user namespace and map itself."""
    MOUNT_NAMESPACE = "mount-namespace"
    """Private mounts; a tmpfs was mounted."""
    PID_NAMESPACE = "pid-namespace"
    """A worker cannot name other processes, and its tree dies with its init."""
    NET_NAMESPACE = "net-namespace"
    """No network; only a loopback was seen."""
    IPC_NAMESPACE = "ipc-namespace"
    """No System V or POSIX queues shared with others."""
    UTS_NAMESPACE = "uts-namespace"
    """A host name of its own."""
    CGROUP_NAMESPACE = "cgroup-namespace"
    """Host cgroup paths are hidden."""
    TIME_NAMESPACE = "time-namespace"
    """Boot-time clocks of its own (a candidate may use this too: it is one reason to keep the clock outside)."""
    SECCOMP = "seccomp"
    """A system-call filter took effect."""
    LANDLOCK = "landlock"
    """A Landlock rule set refused a file; the version is in `data["abi"]`."""
    MEMFD_SEALS = "memfd-seals"
    """F_SEAL_FUTURE_WRITE, SHRINK and GROW held against writing, mapping and reopening."""
    READ_CHILD_MEMORY = "read-child-memory"
    """process_vm_readv of an own child."""
    NO_NEW_PRIVS = "no-new-privs"
    """Set-uid programs give nothing."""
    CGROUP_MEMORY = "cgroup-memory"
    """A memory bound could be set on a new cgroup, v1 or v2."""
    CGROUP_PIDS = "cgroup-pids"
    """A bound on processes could be set on a new cgroup, v1 or v2."""
    PSI = "psi"
    """/proc/pressure/cpu tells how long tasks waited for a core."""


@dataclass(frozen=True, slots=True)
class LayerState:
    """What one probe found. `reason` says how it works, or what failed with which error."""

    layer: Layer
    available: bool
    reason: str
    data: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {
            "layer": self.layer.value,
            "available": self.available,
            "reason": self.reason,
            "data": dict(self.data),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LayerState:
        """The inverse of `to_json`."""
        return cls(Layer(data["layer"]), bool(data["available"]), str(data["reason"]), dict(data["data"]))


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """The state of every layer, in the order of `Layer`. Raises InternalError when one is missing."""

    layers: tuple[LayerState, ...]

    def __post_init__(self) -> None:
        if [state.layer for state in self.layers] != list(Layer):
            raise InternalError("An isolation report does not list every layer once, in order.")

    def __getitem__(self, layer: Layer) -> LayerState:
        return self.layers[list(Layer).index(layer)]

    def has(self, layer: Layer) -> bool:
        """Whether a layer is available."""
        return self[layer].available

    @property
    def missing(self) -> tuple[LayerState, ...]:
        """The layers that this machine does not offer."""
        return tuple(state for state in self.layers if not state.available)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping for certificates."""
        return {"layers": [state.to_json() for state in self.layers]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> IsolationReport:
        """The inverse of `to_json`."""
        return cls(tuple(LayerState.from_json(state) for state in data["layers"]))


_PROBES: dict[Layer, Callable[[], probes.Found]] = {
    Layer.ROOT: probes.try_root,
    Layer.USER_NAMESPACE: probes.try_user_namespace,
    Layer.MOUNT_NAMESPACE: probes.try_mount_namespace,
    Layer.PID_NAMESPACE: probes.try_pid_namespace,
    Layer.NET_NAMESPACE: probes.try_net_namespace,
    Layer.IPC_NAMESPACE: probes.try_ipc_namespace,
    Layer.UTS_NAMESPACE: probes.try_uts_namespace,
    Layer.CGROUP_NAMESPACE: probes.try_cgroup_namespace,
    Layer.TIME_NAMESPACE: probes.try_time_namespace,
    Layer.SECCOMP: probes.try_seccomp,
    Layer.LANDLOCK: probes.try_landlock,
    Layer.MEMFD_SEALS: probes.try_memfd_seals,
    Layer.READ_CHILD_MEMORY: probes.try_read_child_memory,
    Layer.NO_NEW_PRIVS: probes.try_no_new_privs,
    Layer.CGROUP_MEMORY: probes.try_cgroup_memory,
    Layer.CGROUP_PIDS: probes.try_cgroup_pids,
    Layer.PSI: probes.try_psi,
}


def probe_isolation(seconds: float = PROBE_SECONDS) -> IsolationReport:
    """Try every layer; some 50 ms from a small process, more from one whose memory takes long to fork."""
    return IsolationReport(tuple(_probe(layer, _PROBES[layer], seconds) for layer in Layer))


def _probe(layer: Layer, attempt: Callable[[], probes.Found], seconds: float) -> LayerState:
    """Run one attempt in a child of its own and believe only a complete answer."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _answer(attempt, writer)
    os.close(writer)
    try:
        content = _read_all(reader, seconds)
    finally:
        os.close(reader)
        _end(child)
    flag, _, rest = content.partition("\n")
    reason, _, number = rest.partition("\n")
    if flag not in ("yes", "no"):
        return LayerState(layer, False, f"the probe did not answer within {seconds:g} s, or died", {})
    return LayerState(layer, flag == "yes", reason, {"abi": int(number)} if number else {})


def _answer(attempt: Callable[[], probes.Found], writer: int) -> None:
    """The child's life: try, write one answer, vanish without running the parent's exit handlers."""
    try:
        os.setsid()
        syscalls.die_with_parent(signal.SIGKILL)
        try:
            found = attempt()
        except OSError as error:
            found = probes.Found(False, f"{error.strerror or error}")
        number = "" if found.number is None else str(found.number)
        text = "\n".join(("yes" if found.available else "no", found.reason.replace("\n", " "), number))
        os.write(writer, text.encode()[:_ANSWER_BYTES])
    finally:
        os._exit(0)


def _read_all(reader: int, seconds: float) -> str:
    """What the child wrote, until it closes the pipe or the time is up."""
    deadline = time.monotonic() + seconds
    content = b""
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select([reader], [], [], left)
        if not ready:
            break
        chunk = os.read(reader, _ANSWER_BYTES)
        if not chunk:
            return content.decode()
        content += chunk
    return ""


def _end(child: int) -> None:
    """Kill the probe's process group (it leads one after setsid), then reap it."""
    for kill, target in ((os.killpg, child), (os.kill, child)):
        try:
            kill(target, signal.SIGKILL)
        except ProcessLookupError:
            continue  # not a leader yet, or gone already
    os.waitpid(child, 0)
