"""Is a network exact? It is tried on every patch that it can see, in float64, by native code.

What a proof by enumeration says: of the 512 or 2^25 patches none is wrong, and the smallest |logit| is so many times
what rounding can amount to, in float64 as enumerated and in float32 whatever the order of its sums (`rounding.py`).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assay.errors import InputError, MachineError
from assay.native.building import shared_object
from benchmarks.life.network import LifeNetwork, parameters

_SOURCE = Path(__file__).with_name("enumerate.cpp")
_FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-pthread", "-Wno-psabi")
_NATIVE = ("-march=native", "-mprefer-vector-width=512")
PATCHES = {1: 1 << 9, 2: 1 << 25}
"""How many patches there are for n steps, where they can be enumerated."""


@dataclass(frozen=True, slots=True)
class Enumeration:
    """What became of all patches.

    Attributes:
        patches: how many were tried.
        wrong: on how many the network is wrong; a logit of exactly 0 is.
        examples: the numbers of wrong patches, as rules.patches takes them, as many as were asked for.
        margin: the smallest logit, with its sign turned where the truth is dead: positive where none is wrong.
    """

    patches: int
    wrong: int
    examples: NDArray[np.int64]
    margin: float

    @property
    def exact(self) -> bool:
        """Right everywhere."""
        return self.wrong == 0


def enumerate_patches(
    network: LifeNetwork, examples: int = 16, threads: int = 2, *, portable: bool = False
) -> Enumeration:
    """Try a network of one or two steps on every patch. `portable` does without this processor's own instructions.

    Raises InputError for other steps or parameters that are not finite, MachineError without a compiler or memory.
    """
    if network.n not in PATCHES:
        raise InputError(
            "the patches of so many steps cannot be enumerated", value=f"n={network.n}: 2^{(2 * network.n + 1) ** 2}",
            rule="one step or two", next_step="prove it step by step: bands.prove",
        )  # fmt: skip
    layers = parameters(network)
    pointers = (ctypes.c_void_p * len(layers))(*(each.ctypes.data for each in layers))
    wrong, margin = ctypes.c_int64(), ctypes.c_double()
    found = np.zeros(max(examples, 1), np.int64)
    status = _library(portable).assay_life_enumerate(
        pointers, network.n, network.m, threads, examples, found.ctypes.data, ctypes.byref(wrong), ctypes.byref(margin)
    )
    if status:
        raise MachineError("the enumeration could not run", value=f"status {status}", next_step="free some memory")
    return Enumeration(PATCHES[network.n], wrong.value, found[: min(examples, wrong.value)], margin.value)


@lru_cache(maxsize=2)
def _library(portable: bool) -> ctypes.CDLL:
    flags = _FLAGS if portable else (*_FLAGS, *_NATIVE)
    found = ctypes.CDLL(str(shared_object("life", [_SOURCE], flags, "enumerate patches of the Game of Life")))
    pointer, number, int32 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int32
    found.assay_life_enumerate.argtypes = (pointer, int32, int32, int32, number, pointer, pointer, pointer)
    return found
