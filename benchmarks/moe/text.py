"""The text: Debian's dict-gcide, the GNU Collaborative International Dictionary of English, 40 MB.

It is taken from where the package is installed, else fetched with apt (no root needed) into Assay's cache. Chunks are
held out at even distances; of these, in turns, one chooses learning rates and one measures what is compared.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from assay.datasets.packages import file_of_package
from assay.errors import InputError
from assay.machine.cache_dirs import atomic_write, find_dirs
from benchmarks.moe.settings import Settings

PACKAGE = "dict-gcide"
_INSIDE = "usr/share/dictd/gcide.dict.dz"


@dataclass(frozen=True, slots=True)
class Corpus:
    """uint8 tensors: the bytes to train on, the chunks [chunks, bytes] that choose learning rates, and those that
    measure; and the sha256 of the whole text."""

    training: Tensor
    choosing: Tensor
    measuring: Tensor
    sha256: str

    def batch(self, generator: torch.Generator, size: int, context: int) -> Tensor:
        """int64 [size, context + 1] from random places of the training text."""
        starts = torch.randint(self.training.numel() - context, (size, 1), generator=generator)
        return self.training[starts + torch.arange(context + 1)].long()


def windows(chunks: Tensor, context: int) -> Tensor:
    """int64 [chunks, windows, context + 1]: each byte of a chunk but its first and a rest is predicted once."""
    return chunks.unfold(1, context + 1, context).long()


def load_corpus(settings: Settings, path: Path | None = None) -> Corpus:
    """Split a text file (default: the dictionary). Raises InputError for too short a text, MachineError without one."""
    path = path or find_text()
    content = path.read_bytes()
    whole = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
    size = settings.chunk_bytes
    chunks = [whole[start : start + size] for start in range(0, whole.numel(), size)]
    held = chunks[settings.held_out_every - 1 :: settings.held_out_every]
    if len(held) < 2:
        raise InputError(
            "this text is too short to hold any of it out",
            value=f"{path}: {len(content)} bytes",
            rule=f"at least {2 * settings.held_out_every} chunks of {settings.chunk_bytes} bytes",
        )
    training = [chunk for number, chunk in enumerate(chunks, 1) if number % settings.held_out_every]
    return Corpus(
        torch.cat(training), torch.stack(held[::2]), torch.stack(held[1::2]), hashlib.sha256(content).hexdigest()
    )


def find_text() -> Path:
    """The dictionary as plain text in Assay's cache, fetched where it is missing."""
    path = find_dirs().cache / "texts" / "gcide.txt"
    if not path.exists():
        packed = file_of_package(PACKAGE, _INSIDE, ", or give another text with --text FILE")
        atomic_write(path, gzip.decompress(packed.read_bytes()))
    return path
