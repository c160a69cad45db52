"""The Linux system calls that Python 3.11 lacks, as plain functions through ctypes.

Each raises OSError with the kernel's own error; numbers come from the kernel's include/uapi headers named beside them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from enum import IntFlag
from pathlib import Path


class Namespace(IntFlag):
    """CLONE_NEW* of include/uapi/linux/sched.h."""

    TIME = 0x00000080
    """Boot-time clocks, of later children."""
    MOUNT = 0x00020000
    """Mount points."""
    CGROUP = 0x02000000
    """Cgroup paths."""
    UTS = 0x04000000
    """Host name."""
    IPC = 0x08000000
    """System V and POSIX queues."""
    USER = 0x10000000
    """Users, groups and capabilities."""
    PID = 0x20000000
    """Process numbers, of later children."""
    NET = 0x40000000
    """Network devices and routes."""


# include/uapi/linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_GET_NO_NEW_PRIVS = 1, 4, 22, 38, 39
# include/uapi/linux/seccomp.h and filter.h
_SECCOMP_MODE_FILTER, _SECCOMP_RET_ERRNO, _SECCOMP_RET_ALLOW = 2, 0x00050000, 0x7FFF0000
_BPF_LOAD_WORD, _BPF_JUMP_EQUAL, _BPF_RETURN = 0x20, 0x15, 0x06
# include/uapi/linux/mount.h
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
# include/uapi/linux/landlock.h; the calls have the same numbers on every architecture
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT, _LANDLOCK_VERSION, _LANDLOCK_READ_FILE = 444, 446, 1, 1 << 2
_GETPPID = {"x86_64": 110, "aarch64": 173}
"""A harmless call for a filter to refuse, by machine (syscall_64.tbl, asm-generic/unistd.h)."""

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def unshare(namespaces: Namespace) -> None:
    """unshare(2)."""
    _check(_libc.unshare(int(namespaces)), f"unshare({namespaces.name})")


def map_to_root(user: int, group: int) -> None:
    """Within a new user namespace, let `user` and `group` outside appear as root (user_namespaces(7))."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")


def mount_private_tmpfs(point: str) -> None:
    """Cut this mount namespace off from its peers and mount a small tmpfs at `point`."""
    _check(_libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "mount(private /)")
    _check(_libc.mount(b"assay-probe", os.fsencode(point), b"tmpfs", 0, b"size=64k"), "mount(tmpfs)")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send a signal to this process when its parent ends; a change of user clears it (prctl(2))."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def make_dumpable() -> None:
    """Give a process that changed its user its own /proc files back."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")


def forbid_new_privileges() -> bool:
    """Set no_new_privs for good; returns the flag as read back."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")
    return bool(_libc.prctl(_PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)


def refuse_getppid(error_number: int) -> bool:
    """Install a seccomp filter that answers getppid with an error; returns whether it does."""
    number = _GETPPID.get(platform.machine())
    if number is None:
        raise OSError(f"no system-call numbers known for {platform.machine()}")
    steps = (
        (_BPF_LOAD_WORD, 0, 0, 0),
        (_BPF_JUMP_EQUAL, 0, 1, number),
        (_BPF_RETURN, 0, 0, _SECCOMP_RET_ERRNO | error_number),
        (_BPF_RETURN, 0, 0, _SECCOMP_RET_ALLOW),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = _FilterProgram(len(steps), ctypes.addressof(code))
    _check(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0), "prctl(PR_SET_SECCOMP)")
    return bool(_libc.syscall(number) == -1 and ctypes.get_errno() == error_number)


def landlock_version() -> int:
    """The Landlock ABI that the kernel offers."""
    return _check(_libc.syscall(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION), "landlock_create_ruleset(version)")


def forbid_reading_files() -> None:
    """Put this process under a Landlock rule set that lets it open no file for reading; needs no_new_privs."""
    attributes = ctypes.c_uint64(_LANDLOCK_READ_FILE)
    rules = _check(_libc.syscall(_LANDLOCK_CREATE, ctypes.byref(attributes), 8, 0), "landlock_create_ruleset")
    _check(_libc.syscall(_LANDLOCK_RESTRICT, rules, 0), "landlock_restrict_self")


def read_memory(pid: int, address: int, size: int) -> bytes:
    """process_vm_readv(2): at most `size` bytes of another process's memory."""
    copy = ctypes.create_string_buffer(size)
    mine, theirs = _IoVec(ctypes.addressof(copy), size), _IoVec(address, size)
    got = _libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    return copy.raw[: _check(got, "process_vm_readv")]


def _check(result: int, call: str) -> int:
    """The result of a C call, or its errno as OSError."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
    return result
