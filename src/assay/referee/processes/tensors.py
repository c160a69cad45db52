"""A torch tensor's layout, and tensors in shared blocks: what the oracle and applied kernels have in common."""

from __future__ import annotations

import mmap
from typing import Any

from assay.core.tensors import Placement, TensorSpec


def spec_of(name: str, tensor: Any) -> TensorSpec:
    """The layout of a torch tensor; raises ValueError for types that no candidate can receive."""
    from_name = str(tensor.dtype).removeprefix("torch.")
    data = {"name": name, "dtype": from_name, "shape": list(tensor.shape), "strides": list(tensor.stride())}
    return TensorSpec.from_json(data)


def is_dense(tensor: Any) -> bool:
    """Whether the strides address every element of the span once (permuted, not expanded or sliced)."""
    spec = spec_of("", tensor)
    return spec.numel == 0 or spec.span_bytes == spec.data_bytes


def store(torch: Any, tensors: list[Any], block: mmap.mmap) -> None:
    """Copy tensors into a block, one after the other."""
    placement = Placement.pack(spec_of("", t) for t in tensors)
    for tensor, target in zip(tensors, load(torch, placement, block), strict=True):
        target.copy_(tensor)


def load(torch: Any, placement: Placement, block: mmap.mmap) -> list[Any]:
    """The tensors of a block, as views of it."""
    views = []
    for spec, offset in zip(placement.specs, placement.offsets, strict=True):
        dtype = getattr(torch, spec.dtype.value)
        if spec.numel == 0:
            views.append(torch.empty(spec.shape, dtype=dtype))
            continue
        flat = torch.frombuffer(block, dtype=dtype, count=spec.span_bytes // spec.dtype.size_bytes, offset=offset)
        views.append(torch.as_strided(flat, spec.shape, spec.strides))
    return views
