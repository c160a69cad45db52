"""What the products of sparse layers cost on this machine: a file in the cache, so that a new process measures nothing.

A key holds all that decides it: the kernels' instruction set, the processor, PyTorch's version, sizes, block, density
in steps of 2 %, rows, type, training or not, threads. A file that cannot be read or written costs a measurement, no
more: choices are then kept for this process only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from functools import lru_cache
from pathlib import Path

import torch

from assay.errors import MachineError
from assay.machine.cache_dirs import atomic_write, find_dirs
from assay.native.building import processor
from assay.sparse.layout import BlockLayout
from assay.sparse.library import instruction_set

_SCHEMA = 1
_DENSITY_STEPS = 50


def key(layout: BlockLayout, rows: int, dtype: torch.dtype, training: bool, threads: int) -> str:
    """The name of one choice."""
    density = round(layout.density * _DENSITY_STEPS)
    sizes = f"{layout.out_features}x{layout.in_features}/{layout.block}@{density}:{rows}"
    return (
        f"{sizes},{dtype},{'training' if training else 'inference'},{threads},{instruction_set()},{torch.__version__}"
    )


def find(name: str) -> dict[str, float] | None:
    """Seconds of each product, or None where it has not been measured on this machine."""
    return _read(_file()).get(name)


def keep(name: str, seconds: dict[str, float]) -> None:
    """Add one. Two processes that write at once lose one of the two, which is measured again."""
    path = _file()
    known = _read(path) | {name: seconds}
    with contextlib.suppress(MachineError):
        atomic_write(path, json.dumps({"schema": _SCHEMA, "seconds": known}, indent=1).encode())
    _KNOWN[path] = known


def forget() -> None:
    """Measure everything again."""
    path = _file()
    _KNOWN.pop(path, None)
    path.unlink(missing_ok=True)


_KNOWN: dict[Path, dict[str, dict[str, float]]] = {}


def _read(path: Path) -> dict[str, dict[str, float]]:
    if path not in _KNOWN:
        _KNOWN[path] = _parse(path)
    return _KNOWN[path]


def _parse(path: Path) -> dict[str, dict[str, float]]:
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != _SCHEMA:
            return {}
        return {
            str(name): {str(product): float(value) for product, value in seconds.items()}
            for name, seconds in content["seconds"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _file() -> Path:
    return find_dirs().cache / "sparse" / f"{_machine()}.json"


@lru_cache(maxsize=1)
def _machine() -> str:
    return hashlib.sha256(processor().encode()).hexdigest()[:16]
