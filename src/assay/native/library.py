"""Builds the native sources beside this file into one shared object, keeps it in the cache, and declares its functions.

Building takes 1.5 s. Workers get it from the zygote, which has loaded it for all (`symbols`).
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from pathlib import Path

from assay.native.building import shared_object

SOURCES = tuple(sorted(Path(__file__).parent.glob("*.cpp")))
HEADERS = tuple(sorted(Path(__file__).parent.glob("*.h")))
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fopenmp-simd", "-fno-trapping-math", "-fno-math-errno", "-fPIC")
"""-fopenmp-simd reassociates the sums that ask for it; without traps and errno their comparisons become vectors too.
-ffast-math would lose NaN and infinity."""


class Window(ctypes.Structure):
    """`assay_native_window_state` of window.cpp."""

    _fields_ = (
        ("pid", ctypes.c_int32),
        ("channel", ctypes.c_int32),
        ("log", ctypes.c_int32),
        ("n_threads", ctypes.c_int32),
        ("threads", ctypes.c_int32 * 64),
        ("started", ctypes.c_int32),
        ("status", ctypes.c_int32),
        ("timeout_ns", ctypes.c_int64),
        ("start_ns", ctypes.c_int64),
        ("reply_ns", ctypes.c_int64),
        ("stop_ns", ctypes.c_int64),
    )


PythonCall = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_uint64, ctypes.c_uint64)
"""`assay_python_call` of serve.cpp."""


class Deviation(ctypes.Structure):
    """`assay_native_deviation` of deviation.cpp."""

    _fields_ = (
        ("worst_element", ctypes.c_double),
        ("worst_row", ctypes.c_double),
        ("where", ctypes.c_int64),
        ("special", ctypes.c_int32),
    )


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The loaded library. Raises MachineError without a compiler, or where it cannot build or load."""
    return declared(ctypes.CDLL(str(built()), use_errno=True))


def symbols() -> ctypes.CDLL:
    """The same functions in a process whose zygote has loaded the library for everyone."""
    return declared(ctypes.CDLL(None))


def built() -> Path:
    """The shared object's path, built where the cache has none for these sources on this processor."""
    return shared_object("native", SOURCES, FLAGS, "build the referee's clock and comparison", HEADERS)


def declared(found: ctypes.CDLL) -> ctypes.CDLL:
    """The library with its functions' types."""
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    found.assay_native_window.argtypes = (ctypes.POINTER(Window),)
    found.assay_native_window.restype = ctypes.c_int
    found.assay_native_deviation.argtypes = (
        pointer, ctypes.c_int32, pointer, number, number, ctypes.c_double, ctypes.c_double, ctypes.POINTER(Deviation),
    )  # fmt: skip
    found.assay_native_deviation.restype = ctypes.c_int
    found.assay_native_serve.argtypes = (ctypes.c_int, pointer, pointer, number)
    found.assay_native_serve.restype = number
    found.assay_native_serve_python.argtypes = (ctypes.c_int, PythonCall, pointer, pointer, number)
    found.assay_native_serve_python.restype = number
    found.assay_device_open.argtypes = (ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), number)
    found.assay_device_prepare.argtypes = (pointer,)
    found.assay_device_serve.argtypes = (ctypes.c_int, pointer, number, pointer, number)
    found.assay_device_serve.restype = number
    found.assay_device_message.restype = ctypes.c_char_p
    return found
