"""The minimal root that confined children see: system libraries and the interpreter, read-only; a place to write."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

from assay.sandbox.syscalls import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    detach,
    mount,
    pivot_root,
)

SCRATCH = "/scratch"
"""Where a confined child may write; /tmp leads there too."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives", "/sys/devices/system")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_IDENTITY_FILES = {
    "/etc/passwd": "root:x:0:0::/scratch:/usr/sbin/nologin\nworker:x:65534:65534::/scratch:/usr/sbin/nologin\n",
    "/etc/group": "root:x:0:\nworker:x:65534:\n",
}
# statvfs names the flags differently from mount(2); a user namespace must keep those that the host has set.
_KEPT_FLAGS = {2: MS_NOSUID, 4: MS_NODEV, 8: MS_NOEXEC, 1024: 1 << 10, 2048: 1 << 11, 4096: 1 << 21}


def enter_minimal_root(visible: Iterable[str]) -> None:
    """Replace this process's root by one that shows `visible` and the system's libraries, all read-only.

    Must run in a mount namespace of its own, with the right to mount. The old root is unmounted: no path leads back.
    The process list of the machine stays at /proc until `mount_private_places` covers it in each child. Raises OSError.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    shown = [path for path in (*_SYSTEM, *_DEVICES, "/proc", *_outermost(visible)) if os.path.lexists(path)]
    # Held open first: the new root is built over /tmp, and what is to be shown may lie there.
    handles = {path: os.open(path, os.O_PATH | os.O_CLOEXEC) for path in shown if not os.path.islink(path)}
    links = {path: os.readlink(path) for path in shown if os.path.islink(path)}
    root = "/tmp"
    mount("assay-root", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path, target in links.items():
        os.symlink(target, root + path)
    for path, handle in handles.items():
        _show(root, path, handle)
    for path, text in _IDENTITY_FILES.items():
        _write(root + path, text)
    for name in (SCRATCH, "/old"):
        os.makedirs(root + name, exist_ok=True)
    if not os.path.exists(f"{root}/tmp"):  # else something visible lies below it, which a private /tmp would hide
        os.symlink(SCRATCH, f"{root}/tmp")
    pivot_root(root, f"{root}/old")
    os.chdir("/")
    detach("/old")
    os.rmdir("/old")
    mount("none", "/", flags=MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def mount_scratch(tmp_bytes: int) -> None:
    """A folder of this child's own to write in, bounded and gone with it."""
    options = f"size={tmp_bytes},nr_inodes=65536,mode=1777"
    mount("assay-scratch", SCRATCH, "tmpfs", MS_NOSUID | MS_NODEV, options)


@contextlib.contextmanager
def passing_scratch(tmp_bytes: int) -> Iterator[None]:
    """A scratch folder while modules are imported that write at once; gone before any child is made."""
    mount_scratch(tmp_bytes)
    try:
        yield
    finally:
        detach(SCRATCH)


def mount_private_proc() -> bool:
    """Cover the machine's process list by that of this child's own process namespace; False where only hiding worked.

    Some containers forbid a fresh proc; an empty read-only folder then lies over it.
    """
    try:
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except OSError:
        mount("assay-no-proc", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k")
        return False
    return True


def _show(root: str, path: str, handle: int) -> None:
    if os.path.isdir(f"/proc/self/fd/{handle}"):
        os.makedirs(root + path, exist_ok=True)
    else:
        _write(root + path, "")
    flags = _flags_of(handle)
    mount(f"/proc/self/fd/{handle}", root + path, flags=MS_BIND | MS_REC)
    os.close(handle)
    if path == "/proc":
        return
    flags |= MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID
    mount("none", root + path, flags=flags if path.startswith("/dev/") else flags | MS_NODEV)


def _flags_of(handle: int) -> int:
    present = os.fstatvfs(handle).f_flag
    return sum(flag for bit, flag in _KEPT_FLAGS.items() if present & bit)


def _outermost(paths: Iterable[str]) -> list[str]:
    """The given folders without those that lie below another one or below what is shown anyway."""
    kept: list[str] = []
    for path in sorted({os.path.realpath(p) for p in paths}):
        if not any(path == k or path.startswith(k + "/") for k in (*kept, "/usr")):
            kept.append(path)
    return kept


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
