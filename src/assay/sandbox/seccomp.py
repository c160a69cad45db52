"""The system-call filter: a deny-list in classic BPF, installed last, for good.

A deny-list and not an allow-list: torch, OpenMP and the interpreter use some hundred calls that differ between
versions, and an honest kernel must not die of a new one. What it denies is what could reach outside: other
processes, new namespaces and mounts, sockets, kernel interfaces with a history of escapes, memory that no limit
counts, and clearing the signal that kills a worker when the referee dies. Workers may not create processes either,
so that one stop signal stops everything.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from assay.sandbox.syscalls import PR_SET_DUMPABLE, PR_SET_PDEATHSIG, PR_SET_SECCOMP, check, libc

# x86-64 numbers, from the kernel's arch/x86/entry/syscalls/syscall_64.tbl.
_ALWAYS_DENIED = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "pidfd_getfd": 438,
    "pidfd_open": 434, "process_madvise": 440, "process_mrelease": 448,
    "unshare": 272, "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "open_tree_attr": 467, "statmount": 457, "listmount": 458,
    "socket": 41, "socketpair": 53, "connect": 42, "bind": 49, "listen": 50, "accept": 43, "accept4": 288,
    "bpf": 321, "perf_event_open": 298, "userfaultfd": 323,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "io_setup": 206, "io_submit": 209,
    "keyctl": 250, "add_key": 248, "request_key": 249,
    "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "shmat": 30, "shmctl": 31, "msgget": 68, "semget": 64,
    "mq_open": 240,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320,
    "reboot": 169, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "quotactl_fd": 443,
    "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159, "sethostname": 170,
    "setdomainname": 171, "syslog": 103, "iopl": 172, "ioperm": 173, "uselib": 134, "personality": 135,
    "open_by_handle_at": 304, "name_to_handle_at": 303, "fanotify_init": 300, "lookup_dcookie": 212,
    "nfsservctl": 180, "vhangup": 153, "modify_ldt": 154, "move_pages": 279, "migrate_pages": 256, "mbind": 237,
    "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "mknod": 133, "mknodat": 259,
    "sched_setscheduler": 144, "sched_setattr": 314, "ioprio_set": 251, "setpriority": 141,
    "setsid": 112, "setpgid": 109,
    "timer_create": 222,  # may send SIGCONT, which wakes even a stopped process
    "seccomp": 317,  # a listener's wait leaves a thread that can be killed but not stopped
    "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "setxattrat": 463,  # memory that no limit counts
    "fallocate": 285,  # punching holes would zero an output without moving a byte, below the physical floor
}  # fmt: skip
_NO_NEW_PROCESSES = {"fork": 57, "vfork": 58, "execve": 59, "execveat": 322}
_CLONE, _CLONE3, _PRCTL, _MADVISE, _FCNTL = 56, 435, 157, 28, 72
_SETOWN, _SETSIG, _SETOWN_EX = 8, 10, 15  # a descriptor of ours could be made to wake a stopped worker
_MADV_REMOVE = 9  # the same hole, by another door
_CLONE_THREAD, _CLONE_VFORK, _CLONE_ANY_NAMESPACE = 0x00010000, 0x00004000, 0x7E020080

_SYS_SECCOMP, _SET_MODE_FILTER, _ALL_THREADS = 317, 1, 1
_AUDIT_ARCH_X86_64 = 0xC000003E
_X32_BIT = 0x40000000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_ARCH_OFFSET, _NUMBER_OFFSET, _ARG0_OFFSET, _ARG1_OFFSET, _ARG2_OFFSET = 4, 0, 16, 24, 32


def supported() -> bool:
    """Whether this filter is written for the machine's architecture."""
    return platform.machine() == "x86_64"


def install(*, may_create_processes: bool) -> None:
    """Filter every thread of this process and all that they create from now on; needs no_new_privs. Raises OSError."""
    code = _program(may_create_processes)
    buffer = ctypes.create_string_buffer(code, len(code))

    class SockFprog(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program = SockFprog(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    check(
        libc.syscall(_SYS_SECCOMP, ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(_ALL_THREADS), ctypes.byref(program)),
        "install the system-call filter",
    )


def _program(may_create_processes: bool) -> bytes:
    """The filter as classic BPF instructions of 8 bytes each."""
    out = [_op(_LOAD_WORD, _ARCH_OFFSET), _op(_JUMP_EQUAL, _AUDIT_ARCH_X86_64, 1, 0), _op(_RETURN, _KILL)]
    out += [_op(_LOAD_WORD, _NUMBER_OFFSET), _op(_JUMP_AT_LEAST, _X32_BIT, 0, 1), _op(_RETURN, _KILL)]
    denied = dict(_ALWAYS_DENIED) | ({} if may_create_processes else _NO_NEW_PROCESSES)
    for number in denied.values():
        out += [_op(_JUMP_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | errno.EPERM)]
    # clone3 passes its flags in memory, which a filter cannot read; ENOSYS makes glibc fall back to clone.
    out += [_op(_JUMP_EQUAL, _CLONE3, 0, 1), _op(_RETURN, _ERRNO | errno.ENOSYS)]
    forbidden = (PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP)
    out += _on_argument(_PRCTL, _ARG0_OFFSET, [(_JUMP_EQUAL, option) for option in forbidden])
    out += _on_argument(_FCNTL, _ARG1_OFFSET, [(_JUMP_EQUAL, c) for c in (_SETOWN, _SETSIG, _SETOWN_EX)])
    out += _on_argument(_MADVISE, _ARG2_OFFSET, [(_JUMP_EQUAL, _MADV_REMOVE)])
    out += _on_argument(_CLONE, _ARG0_OFFSET, [(_JUMP_SET, _CLONE_ANY_NAMESPACE)])
    if not may_create_processes:
        # A thread made like vfork's child leaves its maker killable but not stoppable.
        out += _on_argument(_CLONE, _ARG0_OFFSET, [(_JUMP_SET, _CLONE_VFORK)])
        out += [_op(_JUMP_EQUAL, _CLONE, 0, 4), _op(_LOAD_WORD, _ARG0_OFFSET)]
        out += [_op(_JUMP_SET, _CLONE_THREAD, 1, 0), _op(_RETURN, _ERRNO | errno.EPERM), _op(_RETURN, _ALLOW)]
    out.append(_op(_RETURN, _ALLOW))
    return b"".join(out)


def _on_argument(number: int, offset: int, tests: list[tuple[int, int]]) -> list[bytes]:
    """Deny syscall `number` where the argument at `offset` passes any of the tests."""
    body = [_op(_LOAD_WORD, offset)]
    for test, value in tests:
        body += [_op(test, value, 0, 1), _op(_RETURN, _ERRNO | errno.EPERM)]
    body.append(_op(_LOAD_WORD, _NUMBER_OFFSET))
    return [_op(_JUMP_EQUAL, number, 0, len(body)), *body]


def _op(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, jump_true, jump_false, k)
