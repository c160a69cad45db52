"""Builds native code of Assay's own into a shared object, once per machine, sources and flags, kept in the cache.

It is trusted code, compiled in the process that asks and never in a sandbox.
"""

from __future__ import annotations

import hashlib
import os
import platform
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from assay.machine.cache_dirs import atomic_write, find_dirs
from assay.machine.gxx import compile_trusted


def shared_object(
    name: str, sources: Sequence[Path], flags: Sequence[str], what_for: str, headers: Sequence[Path] = ()
) -> Path:
    """The path of the library built from `sources` with `flags` (-c and -shared aside), built where the cache has none.

    Raises MachineError without a compiler, where it does not compile, and where the cache cannot be written.
    """
    digest = hashlib.sha256(repr((flags, platform.machine(), processor())).encode())
    for file in (*sources, *headers):
        digest.update(file.read_bytes())
    path = find_dirs().builds / f"{name}-{digest.hexdigest()[:32]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(prefix=f"assay-{name}-") as folder:
            objects = [Path(folder) / f"{source.stem}.o" for source in sources]
            with ThreadPoolExecutor(os.cpu_count() or 1) as compilers:  # sources take from 0.1 to 9 s each

                def compile_one(source: Path, target: Path) -> None:
                    compile_trusted([source], (*flags, "-c"), target, what_for)

                list(compilers.map(compile_one, sources, objects))
            target = Path(folder) / "built.so"
            compile_trusted(objects, (*flags, "-shared"), target, what_for)
            atomic_write(path, target.read_bytes())
    return path


def processor() -> str:
    """What -march=native and -mtune=native mean here: the lines of /proc/cpuinfo that say so."""
    with open("/proc/cpuinfo") as file:
        return "".join(sorted({line for line in file if line.startswith(("model name", "flags", "Features", "CPU"))}))
