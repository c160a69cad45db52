"""Anonymous files that travel to a confined child: nobody can change or grow them, and no state sticks to them."""

from __future__ import annotations

import fcntl
import os

_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_WRITE = 1, 2, 4, 8


def sealed_memfd(name: str, data: bytes) -> int:
    """A descriptor of `data`, sealed against every change. The caller closes it."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        write_all(fd, data)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW | _SEAL_WRITE)
    except BaseException:
        os.close(fd)
        raise
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Write every byte; one write(2) takes at most 2 GiB."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def reopened(fd: int, *, writable: bool) -> int:
    """Another description of the same file: descriptions that are passed on share their position, a hidden channel."""
    return os.open(f"/proc/self/fd/{fd}", (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
