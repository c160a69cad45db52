"""Landlock: a second lock on the file system, on TCP, and on signals and abstract sockets, that needs no privilege.

Mount namespaces already hide the rest of the machine; Landlock holds where they do not exist, and behind them.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from assay.sandbox.syscalls import check, libc

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_RULE_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_ON_FILES = _EXECUTE | 1 << 1 | _READ_FILE | 1 << 14 | 1 << 15  # execute, write, read, truncate, device ioctl
# Access rights that exist from each ABI version on (kernel: Documentation/userspace-api/landlock.rst).
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_NET_RIGHTS_FROM, _SCOPES_FROM = 4, 6


def abi_version() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))
    return max(int(version), 0)


def restrict(readable: Iterable[str], writable: Iterable[str]) -> None:
    """Allow reading below `readable` and everything below `writable`, no TCP and no signals outwards, for good.

    Needs no_new_privs. Raises OSError.
    """
    version = abi_version()
    all_rights = max(rights for since, rights in _FILE_RIGHTS.items() if since <= version)
    attributes = struct.pack("=Q", all_rights)
    if version >= _NET_RIGHTS_FROM:
        attributes += struct.pack("=Q", 0b11)  # bind and connect
    if version >= _SCOPES_FROM:
        attributes += struct.pack("=Q", 0b11)  # abstract UNIX sockets and signals stay inside
    ruleset = check(
        libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)),
        "create a Landlock ruleset",
    )
    try:
        for path in readable:
            _allow(ruleset, path, _READ)
        for path in writable:
            _allow(ruleset, path, all_rights)
        check(libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)), "enter Landlock")
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _ON_FILES
        rule = struct.pack("=Qi", rights, parent)
        result = libc.syscall(
            _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_RULE_PATH_BENEATH), rule, ctypes.c_uint32(0)
        )
        check(result, f"allow {path} in Landlock")
    finally:
        os.close(parent)
