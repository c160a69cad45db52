"""The attempts behind `isolation`: each changes only the process that it runs in, a throw-away child.

Each returns what it saw, or raises OSError with the kernel's answer. Success means that the effect was observed, not
that the call returned 0.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assay.machine import syscalls
from assay.machine.procfs import parse_cgroup_folders
from assay.machine.syscalls import Namespace

NOBODY = 65534
"""The overflow user and group: owns nothing."""

_PROBE_MEMORY_BYTES = 64 << 20
_PROBE_PIDS = 64

# include/uapi/linux/fcntl.h; Python 3.11 has no F_SEAL_FUTURE_WRITE
_SEAL_FUTURE_WRITE = 0x10


@dataclass(frozen=True, slots=True)
class Found:
    """What an attempt saw; `number` is a version where the layer has one."""

    available: bool
    reason: str
    number: int | None = None


def try_root() -> Found:
    """Become another user and see that it took."""
    if os.geteuid() != 0:
        return Found(False, f"effective user is {os.geteuid()}")
    _become_nobody()
    return Found(True, "changed to another user and group")


def try_user_namespace() -> Found:
    """As nobody where the caller is root: only then does success say anything about unprivileged processes."""
    if os.geteuid() == 0:
        _become_nobody()
    user, group = os.getuid(), os.getgid()
    syscalls.unshare(Namespace.USER)
    syscalls.map_to_root(user, group)
    return Found(os.getuid() == 0, "created without privileges and mapped")


def try_mount_namespace() -> Found:
    """Mount a tmpfs over /tmp that only this process sees."""
    how = _enter(Namespace.MOUNT)
    syscalls.mount_private_tmpfs("/tmp")
    empty = not os.listdir("/tmp")
    return Found(empty, f"{how}; a tmpfs was mounted" if empty else "the new tmpfs did not hide /tmp")


def try_pid_namespace() -> Found:
    """The next child must be process 1."""
    how = _enter(Namespace.PID)
    child = os.fork()
    if child == 0:
        os._exit(0 if os.getpid() == 1 else 1)
    _, status = os.waitpid(child, 0)
    return Found(status == 0, f"{how}; its first process is number 1" if status == 0 else "the child is not process 1")


def try_net_namespace() -> Found:
    """Nothing but a loopback may be there."""
    how = _enter(Namespace.NET)
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    # Tunnel drivers put their idle fallback devices (sit0, tunl0) into every new namespace; routes decide.
    routes = Path("/proc/self/net/route").read_text().splitlines()[1:]
    return Found(not routes, f"{how}; no routes" + (f", idle devices {', '.join(names)}" if names else ""))


def try_ipc_namespace() -> Found:
    """A new inode behind /proc/self/ns/ipc."""
    return _renamed(Namespace.IPC, "ipc")


def try_uts_namespace() -> Found:
    """Set a host name; the caller's stays as it was."""
    found = _renamed(Namespace.UTS, "uts")
    socket.sethostname("assay-probe")
    return Found(found.available and socket.gethostname() == "assay-probe", found.reason)


def try_cgroup_namespace() -> Found:
    """A new inode behind /proc/self/ns/cgroup."""
    return _renamed(Namespace.CGROUP, "cgroup")


def try_time_namespace() -> Found:
    """A new inode behind /proc/self/ns/time_for_children (the caller itself keeps its clocks)."""
    return _renamed(Namespace.TIME, "time_for_children")


def try_seccomp() -> Found:
    """Install a filter that refuses getppid with an odd error, and see that error."""
    syscalls.forbid_new_privileges()
    refused = syscalls.refuse_getppid(errno.EXDEV)
    return Found(refused, "a filter refused a call" if refused else "the filter had no effect")


def try_landlock() -> Found:
    """Forbid all reading of files, then fail to open one that was readable."""
    version = syscalls.landlock_version()
    os.close(os.open("/proc/self/status", os.O_RDONLY))
    syscalls.forbid_new_privileges()
    syscalls.forbid_reading_files()
    try:
        os.close(os.open("/proc/self/status", os.O_RDONLY))
    except PermissionError:
        return Found(True, f"ABI {version}; an empty rule set refused a file", version)
    return Found(False, f"ABI {version}, but an empty rule set let a file be read", version)


def try_memfd_seals() -> Found:
    """Seal a block that stays mapped for the owner; then writing, mapping and reopening it must not change it."""
    file = os.memfd_create("assay-probe", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(file, mmap.PAGESIZE)
    own = mmap.mmap(file, mmap.PAGESIZE)
    seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | _SEAL_FUTURE_WRITE
    fcntl.fcntl(file, fcntl.F_ADD_SEALS, seals)
    own[0] = 7
    again = os.open(f"/proc/self/fd/{file}", os.O_RDWR)
    attempts: dict[str, Callable[[], object]] = {
        "write": lambda: os.pwrite(file, b"x", 0),
        "write after reopening": lambda: os.pwrite(again, b"x", 0),
        "map for writing": lambda: mmap.mmap(again, mmap.PAGESIZE),
        "resize": lambda: os.ftruncate(again, 0),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
        except PermissionError:
            continue
        return Found(False, f"the seal did not stop an attempt to {name}")
    return Found(own[0] == 7, "seals held; the owner's own mapping still writes")


def try_read_child_memory() -> Found:
    """Read a byte that the child changed in its own copy of a buffer."""
    cell = ctypes.create_string_buffer(b"parent\0")
    told, tell = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        syscalls.die_with_parent(signal.SIGKILL)
        cell.raw = b"child\0\0\0"
        os.write(tell, b"!")
        signal.pause()
    try:
        os.read(told, 1)
        copy = syscalls.read_memory(child, ctypes.addressof(cell), len(cell)).rstrip(b"\0")
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return Found(copy == b"child", "read a child's memory" if copy == b"child" else "read wrong bytes")


def try_no_new_privs() -> Found:
    """Set the flag and read it back."""
    return Found(syscalls.forbid_new_privileges(), "set and read back")


def try_cgroup_memory() -> Found:
    """A new cgroup with a memory bound, entered and left."""
    return _try_cgroup("memory", "memory.limit_in_bytes", "memory.max", _PROBE_MEMORY_BYTES)


def try_cgroup_pids() -> Found:
    """A new cgroup with a bound on processes, entered and left."""
    return _try_cgroup("pids", "pids.max", "pids.max", _PROBE_PIDS)


def try_psi() -> Found:
    """The file can be missing (CONFIG_PSI) or refuse to be read (psi=0)."""
    line = Path("/proc/pressure/cpu").read_text().splitlines()[0]
    return Found(line.startswith("some "), line)


def _try_cgroup(controller: str, v1_file: str, v2_file: str, bound: int) -> Found:
    """Try the v1 hierarchy of a controller, then v2, below the cgroup that this process is in and at the root."""
    refusals: list[str] = []
    for version, parent in _cgroup_parents(controller):
        folder, file = parent / f"assay-probe-{os.getpid()}", v1_file if version == 1 else v2_file
        try:
            folder.mkdir()
        except OSError as error:
            refusals.append(f"{folder.parent}: {error.strerror}")
            continue
        try:
            _bound_and_enter(folder, file, bound)
            return Found(True, f"v{version} at {parent}")
        except OSError as error:
            refusals.append(f"{folder / file}: {error.strerror}")
        finally:
            folder.rmdir()
    return Found(False, "; ".join(refusals) or f"no cgroup hierarchy with {controller} is mounted")


def _bound_and_enter(folder: Path, file: str, bound: int) -> None:
    """Set the bound, then let a child enter: this process could not leave a v2 cgroup whose parent takes none."""
    (folder / file).write_text(str(bound))
    child = os.fork()
    if child == 0:
        try:
            (folder / "cgroup.procs").write_text(str(os.getpid()))
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise OSError(status, os.strerror(status))


def _cgroup_parents(controller: str) -> list[tuple[int, Path]]:
    """Versions and folders in which a new cgroup with this controller may be made: our own first, then the root."""
    own, mounts = Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text()
    return [
        (folder.version, Path(parent))
        for folder in parse_cgroup_folders(own, mounts)
        if folder.version == 2 or controller in folder.controllers
        for parent in dict.fromkeys((folder.path, folder.root))
    ]


def _renamed(flag: Namespace, name: str) -> Found:
    """Enter a namespace and compare the inode behind its link, the kernel's own name for it."""
    link = f"/proc/self/ns/{name}"
    before = os.readlink(link)
    how = _enter(flag)
    changed = os.readlink(link) != before
    return Found(changed, how if changed else "the call succeeded but the namespace is the same")


def _enter(flag: Namespace) -> str:
    """Enter a namespace as we are, else through a user namespace; says which way worked."""
    user, group = os.getuid(), os.getgid()
    try:
        syscalls.unshare(flag)
    except PermissionError:
        syscalls.unshare(Namespace.USER | flag)
        syscalls.map_to_root(user, group)
        return "through a user namespace"
    return "with the caller's own rights"


def _become_nobody() -> None:
    """Change to nobody; a process that changed its user may not open its own /proc files unless made dumpable again."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    syscalls.make_dumpable()
