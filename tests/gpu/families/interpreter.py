"""Runs a device candidate on a CPU: its plan resolved as for a GPU, its kernels by Triton's interpreter.

Outputs and scratch lie between guards, so that a write beyond them is found; scratch begins as no zeros.
"""

import importlib.util
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from assay.launch.resolved import resolve

GUARD = 64
"""Elements before and behind: more than a warp's worth of a vector."""


def spec(name, tensor):
    """What a plan may know of a tensor."""
    dtype = DType(str(tensor.dtype).removeprefix("torch."))
    return TensorSpec(name, dtype, tuple(tensor.shape), tuple(tensor.stride()))


class Guarded:
    """A tensor of a shape with strides, between guards."""

    def __init__(self, shape, stride, dtype):
        last = sum((n - 1) * s for n, s in zip(shape, stride, strict=True)) + 1 if 0 not in shape else 0
        raw = torch.full(((last + 2 * GUARD) * dtype.itemsize,), 0xA5, dtype=torch.uint8)
        self.whole, self.bytes, self.size = raw, raw.numel(), last * dtype.itemsize
        self.guard = GUARD * dtype.itemsize
        self.tensor = torch.as_strided(raw.view(dtype), shape, stride, GUARD)

    def check(self):
        """Raise where a guard was written to."""
        before, behind = self.whole[: self.guard], self.whole[self.guard + self.size :]
        assert bool((torch.cat([before, behind]) == 0xA5).all()), "a kernel wrote outside of its output"


@contextmanager
def loaded(text):
    """The file's functions. Triton reads a kernel's source from a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.py"
        path.write_text(text)
        specification = importlib.util.spec_from_file_location(f"candidate_{abs(hash(text))}", path)
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        yield module


def run(source, inputs, outputs, weights=(), scalars=()):
    """What the candidate computes, like `outputs`, whose data are not used; and the indices of its launches."""
    made = [Guarded(o.shape, o.stride(), o.dtype) for o in outputs]
    tensors = {"in": list(inputs), "weight": list(weights), "out": [g.tensor for g in made]}
    specs = {role: [spec(f"{role}{i}", t) for i, t in enumerate(some)] for role, some in tensors.items()}
    plan = resolve(source.plan, specs["in"], specs["weight"], specs["out"], scalars)
    scratch = [Guarded((size,), (1,), torch.uint8) for size in plan.scratch_bytes]
    tensors["scratch"] = [g.tensor for g in scratch]
    with loaded(source.text) as module, exact_bfloat16(), np.errstate(all="ignore"):
        for launch in plan.launches:
            written = source.plan.launches[launch.index]
            arguments = [
                tensors[p.memory[0]][p.memory[1]] if p.memory else number(a.type, p.bytes)
                for a, p in zip(written.arguments, launch.parameters, strict=True)
            ]
            getattr(module, launch.kernel)[launch.grid](*arguments, **dict(written.constants))
    for each in (*made, *scratch):
        each.check()
    return [g.tensor for g in made], [launch.index for launch in plan.launches]


def number(kind, raw):
    """A kernel's number from the bytes that a launch passes."""
    return np.frombuffer(raw, np.dtype(kind[0] + str(int(kind[1:]) // 8)))[0].item()


@contextmanager
def exact_bfloat16():
    """Triton 3.9's interpreter multiplies bfloat16's bits as integers, and cuts where a GPU rounds to nearest, even."""
    from triton.language import bfloat16, float32
    from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

    dot, cast = InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl

    def meant(handle):
        if handle.dtype.scalar != bfloat16:
            return handle.data.astype(np.float32) if handle.data.dtype == np.float16 else handle.data
        return (handle.data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)

    def create_dot(self, a, b, d, *_):
        return TensorHandle(np.matmul(meant(a), meant(b), dtype=d.data.dtype) + d.data, d.dtype.scalar)

    def cast_impl(self, source, kind):
        if (source.dtype.scalar, kind.scalar) != (float32, bfloat16):
            return cast(self, source, kind)
        rounded = torch.from_numpy(np.array(source.data)).to(torch.bfloat16).view(torch.int16).numpy()
        return TensorHandle(rounded.view(np.uint16), bfloat16)

    InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl = create_dot, cast_impl
    try:
        yield
    finally:
        InterpreterBuilder.create_dot, InterpreterBuilder.cast_impl = dot, cast
