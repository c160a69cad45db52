"""Runs device candidates on this processor, without the referee: tensors in, tensors out."""

import atexit
import ctypes
import functools
import tempfile
from pathlib import Path

import torch

from assay.core.dtypes import DType
from assay.core.tensors import TensorSpec
from assay.launch.plan import find_plan
from assay.launch.resolved import resolve
from tests.gpu.emulation import EmulatedBuilder

_POISON = 0x7B


def spec_of(name, tensor):
    return TensorSpec(
        name, DType(str(tensor.dtype).removeprefix("torch.")), tuple(tensor.shape), tuple(tensor.stride())
    )


def run(candidate, inputs, weights, outputs, scalars=()):
    """Fills `outputs`, which are poisoned first; inputs and weights must come out as they went in."""
    library = _library(candidate)
    roles = {"in": inputs, "weight": weights, "out": outputs}
    specs = {role: [spec_of(f"{role}{i}", t) for i, t in enumerate(tensors)] for role, tensors in roles.items()}
    plan = resolve(find_plan(candidate.files), specs["in"], specs["weight"], specs["out"], scalars)
    before = [t.clone() for t in (*inputs, *weights)]
    areas = [torch.full((size + 1,), _POISON, dtype=torch.uint8) for size in plan.scratch_bytes]
    for tensor in outputs:
        tensor.fill_(torch.nan if tensor.is_floating_point() else 1 if tensor.dtype is torch.bool else 77)
    memory = {role: [t.data_ptr() for t in tensors] for role, tensors in roles.items()}
    memory["scratch"] = [area.data_ptr() for area in areas]
    for launch in plan.launches:
        _call(library, launch, memory)
    assert all(torch.equal(a, b) for a, b in zip(before, (*inputs, *weights), strict=True)), "wrote to its inputs"
    assert all(int(area[-1]) == _POISON for area in areas), "wrote beyond its scratch"
    return plan


def _library(candidate):
    with tempfile.TemporaryDirectory() as folder:
        built = _builder().build(candidate, 90)
        path = Path(folder) / "loaded.so"
        path.write_bytes(built.content)
        return ctypes.CDLL(str(path))


@functools.cache
def _builder():
    found = EmulatedBuilder()
    atexit.register(found.close)
    return found


def _call(library, launch, memory):
    parameters = []
    for parameter in launch.parameters:
        if parameter.memory is not None:
            role, index = parameter.memory
            parameters.append(ctypes.create_string_buffer(memory[role][index].to_bytes(8, "little"), 8))
        else:
            parameters.append(ctypes.create_string_buffer(parameter.bytes, len(parameter.bytes)))
    pointers = (ctypes.c_void_p * max(len(parameters), 1))(*(ctypes.addressof(p) for p in parameters))
    three = ctypes.c_uint32 * 3
    getattr(library, f"emulated_{launch.kernel}")(
        three(*launch.grid), three(*launch.block), launch.cluster[0], ctypes.c_uint32(launch.shared_bytes), pointers
    )
