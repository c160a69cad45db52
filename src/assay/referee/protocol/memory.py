"""Shared memory that belongs to the referee: inputs that nobody else can write, outputs that nobody can resize.

Guaranteed: a worker can neither map nor reopen an input block for writing (F_SEAL_FUTURE_WRITE also holds through
/proc/self/fd), nor change any block's size. Not guaranteed: that a worker leaves its own output block alone between
calls; it is stopped then, and the block is poisoned before each.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import secrets

import numpy as np
from numpy.typing import NDArray

from assay.errors import MachineError
from assay.sandbox.syscalls import libc

Bytes = NDArray[np.uint8]

GUARD_BYTES = 4096
"""No man's land before and after each output; a page, so that vector stores past the end land in it."""

_SEAL_SEAL, _SEAL_SHRINK, _SEAL_GROW, _SEAL_FUTURE_WRITE = 1, 2, 4, 16
_POISON_BYTES = 1 << 20


class Block:
    """One memfd, mapped writable here. Close it when the workers that use it are gone."""

    def __init__(self, size_bytes: int, *, read_only_elsewhere: bool, name: str) -> None:
        self.size_bytes = max(size_bytes, mmap.PAGESIZE)
        self.fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, self.size_bytes)
            self._map = mmap.mmap(self.fd, self.size_bytes)
        except (OSError, ValueError) as error:
            os.close(self.fd)
            raise MachineError("shared memory could not be had", value=f"{size_bytes} bytes: {error}") from error
        seals = _SEAL_SEAL | _SEAL_SHRINK | _SEAL_GROW | (_SEAL_FUTURE_WRITE if read_only_elsewhere else 0)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, seals)
        self.bytes: Bytes = np.frombuffer(self._map, dtype=np.uint8)

    def close(self) -> None:
        """Close; the mapping goes with its last view. Safe to call twice."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            del self.bytes, self._map


class Poison:
    """Secret random bytes laid over outputs before each call, and the proof that the guards still hold them."""

    def __init__(self) -> None:
        self._tile: Bytes = np.frombuffer(secrets.token_bytes(_POISON_BYTES), dtype=np.uint8)

    def spread(self, target: Bytes) -> int:
        """Cover `target`; returns the phase that `intact` needs."""
        phase = secrets.randbelow(_POISON_BYTES)
        for start, piece in self._pieces(len(target), phase):
            target[start : start + len(piece)] = piece
        return phase

    def intact(self, target: Bytes, start: int, stop: int, phase: int) -> bool:
        """Whether bytes start to stop of a poisoned block are unchanged."""
        wanted = self._tile[(np.arange(start, stop) + phase) % _POISON_BYTES]
        return bool(np.array_equal(target[start:stop], wanted))

    def _pieces(self, length: int, phase: int) -> list[tuple[int, Bytes]]:
        pieces = []
        start = 0
        while start < length:
            at = (start + phase) % _POISON_BYTES
            piece = self._tile[at : at + length - start]
            pieces.append((start, piece))
            start += len(piece)
        return pieces


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


libc.process_vm_readv.restype = ctypes.c_ssize_t


def read_process(pid: int, address: int, target: Bytes) -> bool:
    """Copy bytes out of another (stopped) process; False where its memory is not readable there."""
    done = 0
    while done < len(target):
        local = _IoVec(target.ctypes.data + done, len(target) - done)
        remote = _IoVec(address + done, len(target) - done)
        count = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        if count <= 0:
            return False
        done += count
    return True
