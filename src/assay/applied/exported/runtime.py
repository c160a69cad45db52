"""One certified kernel: built once with g++, guarded, with the reference as its fallback. It needs PyTorch alone.

The kernel serves where every tensor has the type, shape, strides and device that it was certified for and no gradient
is wanted; the reference serves otherwise, and `calls` counts both.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

_DIMS = 8
_CODES = {"float32": 1, "float64": 2, "float16": 3, "bfloat16": 4, "int8": 5, "int16": 6, "int32": 7, "int64": 8,
          "uint8": 9, "bool": 10}  # fmt: skip


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("shape", ctypes.c_int64 * _DIMS), ("stride", ctypes.c_int64 * _DIMS),
        ("numel", ctypes.c_int64), ("ndim", ctypes.c_int32), ("dtype", ctypes.c_int32),
    )  # fmt: skip


class _Call(ctypes.Structure):
    _fields_ = (
        ("abi_version", ctypes.c_int32), ("n_threads", ctypes.c_int32), ("n_inputs", ctypes.c_int32),
        ("n_weights", ctypes.c_int32), ("n_outputs", ctypes.c_int32), ("n_scalars", ctypes.c_int32),
        ("inputs", ctypes.POINTER(_Tensor)), ("weights", ctypes.POINTER(_Tensor)),
        ("outputs", ctypes.POINTER(_Tensor)), ("scalars", ctypes.POINTER(ctypes.c_double)),
    )  # fmt: skip


class Certified(torch.nn.Module):
    """A reference module with a certified kernel in front of it: same parameters, same state."""

    def __init__(self, reference: torch.nn.Module, folder: Path) -> None:
        """`folder` holds kernel.json and native/. Without g++ the reference serves alone, with a warning."""
        super().__init__()
        self.reference = reference
        self.calls = {"kernel": 0, "reference": 0}
        self._about: dict[str, Any] = json.loads((folder / "kernel.json").read_text())
        try:
            self._entry = _loaded(_built(folder / "native", self._about), self._about["entry"])
        except (OSError, subprocess.CalledProcessError) as error:
            warnings.warn(f"the certified kernel could not be built, the reference serves: {error}", stacklevel=2)
            self._entry = None

    def forward(self, *arguments: Any) -> Any:
        """As the reference."""
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        weights = list(self.reference.state_dict(keep_vars=True).values())
        if self._entry is None or not self._fits(arguments, tensors, weights):
            self.calls["reference"] += 1
            return self.reference(*arguments)
        outputs = [
            torch.empty_strided(layout["shape"], layout["stride"], dtype=getattr(torch, layout["dtype"]))
            for layout in self._about["outputs"]
        ]
        numbers = [float(a) for a in arguments if not isinstance(a, torch.Tensor)]
        code = self._run(tensors, weights, outputs, numbers)
        if code != 0:
            raise RuntimeError(f"the kernel refused a call of its certified layout: {code}")
        self.calls["kernel"] += 1
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _fits(self, arguments: Any, tensors: list[Any], weights: list[Any]) -> bool:
        if torch.is_grad_enabled() and any(each.requires_grad for each in (*tensors, *weights)):
            return False
        if len(arguments) - len(tensors) != self._about["scalars"]:
            return False
        for name, given in (("inputs", tensors), ("weights", weights)):
            wanted = self._about[name]
            if len(wanted) != len(given) or not all(map(_is, given, wanted)):
                return False
        return True

    def _run(self, inputs: list[Any], weights: list[Any], outputs: list[Any], numbers: list[float]) -> int:
        call = _Call(abi_version=1, n_threads=min(self._about["threads"], torch.get_num_threads()))
        held = []
        for name, tensors in (("inputs", inputs), ("weights", weights), ("outputs", outputs)):
            array = (_Tensor * max(len(tensors), 1))()
            for record, tensor in zip(array, tensors, strict=False):
                record.data, record.numel, record.ndim = tensor.data_ptr(), tensor.numel(), tensor.dim()
                record.shape[: tensor.dim()], record.stride[: tensor.dim()] = tuple(tensor.shape), tensor.stride()
                record.dtype = _CODES[str(tensor.dtype).removeprefix("torch.")]
            held.append(array)
            setattr(call, f"n_{name}", len(tensors))
            setattr(call, name, array)
        call.n_scalars, call.scalars = len(numbers), (ctypes.c_double * max(len(numbers), 1))(*numbers)
        return int(self._entry(ctypes.byref(call)))


def _is(tensor: Any, layout: dict[str, Any]) -> bool:
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    same = (list(tensor.shape), list(tensor.stride())) == (layout["shape"], layout["stride"])
    return plain and same and str(tensor.dtype) == f"torch.{layout['dtype']}"


def _built(native: Path, about: dict[str, Any]) -> Path:
    """The shared object, from this user's cache or built into it."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise OSError("there is no g++")
    files = sorted(path for path in native.rglob("*") if path.is_file())
    with open("/proc/cpuinfo") as cpu:
        machine = next((line for line in cpu if line.startswith("flags")), "")
    parts = [str(about["flags"]), machine, *(path.read_text() for path in files)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay-exported"
    target = cache / f"{key}.so"
    if target.is_file():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    units = [str(path) for path in files if path.suffix in (".cpp", ".cc", ".cxx")]
    flags = [flag for flag in about["flags"] if not flag.startswith("-l")]
    libraries = [flag for flag in about["flags"] if flag.startswith("-l")]
    torch_libraries = Path(torch.__file__).parent / "lib"
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        made = Path(folder) / "kernel.so"
        command = [compiler, *flags, "-include", str(native / "assay" / "prelude.h"), f"-I{native}", *units, "-o",
                   str(made), f"-L{torch_libraries}", *libraries]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        made.replace(target)
    return target


def _loaded(library: Path, entry: str) -> Any:
    function = getattr(ctypes.CDLL(str(library)), entry)
    function.argtypes, function.restype = (ctypes.c_void_p,), ctypes.c_int
    return function
