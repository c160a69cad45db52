"""Composite operators written anew for the trace, where PyTorch's own rules take sizes for constants.

They are taken apart in C++ before a trace sees them, with sizes as plain numbers: a kernel for such a trace refuses
every other size.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any


def replacing() -> Any:
    """A context in which the functions of `_RULES` are called instead of PyTorch's."""
    torch = sys.modules["torch"]
    places = (torch, torch.nn.functional)
    rules = {getattr(place, name, None): rule for place in places for name, rule in _RULES.items()}

    class _Replacing(torch.overrides.TorchFunctionMode):  # type: ignore[name-defined, misc]  # torch comes with the task
        def __torch_function__(
            self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            rule = rules.get(function)
            found = rule(torch, *args, **(kwargs or {})) if rule is not None else NotImplemented
            return function(*args, **(kwargs or {})) if found is NotImplemented else found

    return _Replacing()


def _max_pool1d(
    torch: Any, value: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:  # fmt: skip
    """As one row of a plane."""
    if return_indices:
        return NotImplemented
    width, step, pad, apart = (_one(given) for given in (kernel_size, stride or kernel_size, padding, dilation))
    plane = value.unsqueeze(-2)
    return torch.max_pool2d(plane, (1, width), (1, step), (0, pad), (1, apart), ceil_mode).squeeze(-2)


def _one(given: Any) -> Any:
    return given[0] if isinstance(given, (tuple, list)) else given


def _gru_cell(torch: Any, x: Any, state: Any, w_x: Any, w_state: Any, b_x: Any = None, b_state: Any = None) -> Any:
    """Cho et al. 2014, with the reset gate applied after the product, as PyTorch has it."""
    from_x = torch.nn.functional.linear(x, w_x, b_x)
    from_state = torch.nn.functional.linear(state, w_state, b_state)
    width = w_state.shape[1]
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (
        [given[..., k * width : (k + 1) * width] for k in range(3)] for given in (from_x, from_state)
    )
    reset, update = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
    new = torch.tanh(n_x + reset * n_h)
    return new + update * (state - new)


def _lstm_cell(torch: Any, x: Any, states: Any, w_x: Any, w_state: Any, b_x: Any = None, b_state: Any = None) -> Any:
    """Hochreiter and Schmidhuber 1997, with forget gates; the gates in PyTorch's order."""
    hidden, cell = states
    gates = torch.nn.functional.linear(x, w_x, b_x) + torch.nn.functional.linear(hidden, w_state, b_state)
    width = w_state.shape[1]
    into, forget, new, out = (gates[..., k * width : (k + 1) * width] for k in range(4))
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(into) * torch.tanh(new)
    return torch.sigmoid(out) * torch.tanh(cell), cell


def _tensor(torch: Any, data: Any, *, dtype: Any = None, device: Any = None, **_: Any) -> Any:
    """A number: a constant that a trace can hold."""
    if not isinstance(data, (bool, int, float)):
        return NotImplemented
    usual = torch.bool if isinstance(data, bool) else torch.int64 if isinstance(data, int) else None
    return torch.full((), data, dtype=dtype or usual, device=device)


def padded(value: Any, pads: Sequence[Any], fill: float = 0.0) -> Any:
    """Padding as concatenation: PyTorch's own rule takes sizes for constants, or writes into what it has made."""
    torch = sys.modules["torch"]
    if any(pad < 0 for pad in pads):
        raise NotImplementedError("padding that cuts")
    for place in range(len(pads) // 2):
        dim = value.dim() - 1 - place
        parts = [value]
        for count, where in ((pads[2 * place], 0), (pads[2 * place + 1], len(parts))):
            if count:
                shape = [*value.shape[:dim], count, *value.shape[dim + 1 :]]
                parts.insert(where if where == 0 else len(parts), torch.full(shape, fill, dtype=value.dtype))
        value = torch.cat(parts, dim) if len(parts) > 1 else value
    return value


_RULES: dict[str, Callable[..., Any]] = {
    "max_pool1d": _max_pool1d, "gru_cell": _gru_cell, "lstm_cell": _lstm_cell, "tensor": _tensor,
}  # fmt: skip
