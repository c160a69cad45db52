"""How the operators of this package become PyTorch's `assay::` ones, and what their native calls share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from assay.errors import InputError

KINDS = {torch.float32: 0, torch.float64: 1}
"""Element types of the kernels, by their number in arguments.h."""
HALVES = (torch.float16, torch.bfloat16)
"""Types that a CPU computes in float32."""

_LIBRARY: Any = torch.library.Library("assay", "FRAGMENT")  # type: ignore[no-untyped-call]
"""PyTorch has no types for it."""


def register(
    schema: str,
    cpu: Callable[..., Any],
    cuda: Callable[..., Any],
    fake: Callable[..., Any],
    setup: Callable[..., Any] | None = None,
    backward: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """Make `assay::NAME` of a schema `NAME(...) -> ...`; without a `backward` it has no gradient.

    Returns a function that calls it, or `cpu` itself where that may be (see `is_direct`).
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema)
    _LIBRARY.impl(name, cpu, "CPU")
    _LIBRARY.impl(name, cuda, "CUDA")
    torch.library.register_fake(f"assay::{name}", fake, lib=_LIBRARY)
    if backward is not None:
        torch.library.register_autograd(f"assay::{name}", backward, setup_context=setup, lib=_LIBRARY)
    operator = getattr(torch.ops.assay, name)

    def call(*arguments: Any) -> Any:
        return cpu(*arguments) if is_direct(*arguments) else operator(*arguments)

    return call


def is_watched() -> bool:
    """Whether a compiler, a tracer, a transform of torch.func or a mode has to see every operator."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return True
    return torch._C._len_torch_dispatch_stack() > 0 or torch._C._functorch.peek_interpreter_stack() is not None


def is_direct(*arguments: Any) -> bool:
    """Whether a kernel may be called past the dispatcher, whose Python part costs 15 us.

    It may for a CPU's plain tensors where nobody is to see the call: no gradient, no profiler, nothing that watches.
    Lists of tensors are taken to be where the others are.
    """
    if is_watched() or torch._C._autograd._profiler_enabled():
        return False
    graded = torch.is_grad_enabled()
    for each in arguments:
        if not isinstance(each, Tensor):
            continue
        if type(each) not in (Tensor, Parameter) or not each.is_cpu or (graded and each.requires_grad):
            return False
    return True


MISMATCH = 3
"""A kernel's status where the number of values is not what the row starts say."""


def check_types(y: torch.dtype, values: Tensor, bias: Tensor | None) -> None:
    """Raises InputError where the kernels have not the type of the values, or y or the bias another one."""
    dtype = values.dtype
    if dtype not in KINDS or y != dtype or (bias is not None and bias.dtype != dtype):
        raise InputError(
            "there is no kernel for these element types",
            value=f"{y}, values of {dtype}, bias of {None if bias is None else bias.dtype}",
            rule="on a CPU float32 or float64, the same for x, values and bias",
            next_step="convert the layer and its input to float32",
        )


def side_by_side(x: Tensor) -> Tensor:
    """x [rows, features] with every row's elements side by side; a copy only where they are not."""
    return x if x.stride(1) == 1 or x.shape[1] <= 1 else x.contiguous()


def pointer(tensor: Tensor | None) -> int | None:
    """Where a tensor's memory starts, for a kernel; None, a null pointer, for none."""
    return None if tensor is None else tensor.data_ptr()
