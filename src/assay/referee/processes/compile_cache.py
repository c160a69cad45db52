"""torch.compile's cache folder, in and out of a worker: compiled once where processes may be made, used where not."""

from __future__ import annotations

import io
import mmap
import os
import tarfile

FOLDER = "/scratch/inductor"
"""Where TORCHINDUCTOR_CACHE_DIR points in the sandbox."""


def pack_cache(fd: int) -> None:
    """Write the folder into `fd` as an archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        if os.path.isdir(FOLDER):
            archive.add(FOLDER, arcname=".")
    os.ftruncate(fd, 0)
    os.lseek(fd, 0, os.SEEK_SET)
    view = memoryview(buffer.getvalue())
    while view:
        view = view[os.write(fd, view) :]


def unpack_cache(fd: int, size: int) -> None:
    """The inverse of `pack_cache`."""
    with mmap.mmap(fd, size, prot=mmap.PROT_READ) as view, tarfile.open(fileobj=io.BytesIO(bytes(view))) as archive:
        archive.extractall(FOLDER, filter="data")
