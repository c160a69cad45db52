"""The experts: feed-forward networks with their weights stacked, applied to rows that are sorted by expert.

Weights have the shapes of Hugging Face's experts: gate_up_proj [E, 2I, H] (gate rows first) or, without a gate,
up_proj [E, I, H], and down_proj [E, H, I].
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from assay.moe.products import gathered_mm, grouped_mm


def _relu_squared(x: Tensor) -> Tensor:
    return functional.relu(x).square()


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": functional.gelu,
    "gelu_pytorch_tanh": partial(functional.gelu, approximate="tanh"),
    "gelu_new": partial(functional.gelu, approximate="tanh"),
    "silu": functional.silu,
    "swish": functional.silu,
    "relu": functional.relu,
    "relu2": _relu_squared,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
"""By their names in Hugging Face's configurations (hidden_act)."""


def activation_named(name: str) -> Callable[[Tensor], Tensor]:
    """The function of a name; raises InputError for an unknown one."""
    if name not in ACTIVATIONS:
        raise InputError(
            "there is no activation of this name",
            value=repr(name),
            rule=f"one of {', '.join(sorted(ACTIVATIONS))}",
            next_step="add it to ACTIVATIONS of assay.moe.experts",
        )
    return ACTIVATIONS[name]


def activate(hidden: Tensor, activation: Callable[[Tensor], Tensor], gated: bool) -> Tensor:
    """activation(hidden), or activation(first half) * second half of the last dimension where `gated`."""
    if not gated:
        return activation(hidden)
    gate, up = hidden.chunk(2, dim=-1)
    return activation(gate) * up


class Experts(nn.Module):
    """E feed-forward networks of hidden_size -> intermediate_size -> hidden_size.

    Args:
        num_experts: E.
        hidden_size: H.
        intermediate_size: I, of one expert.
        activation: a name of `ACTIVATIONS`.
        gated: down(activation(gate(x)) * up(x)), as in SwiGLU; else down(activation(up(x))).
        bias: biases on both projections.
        device: where the weights live.
        dtype: of the weights.
    """

    def __init__(
        self,
        num_experts: int,
        hidden_size: int,
        intermediate_size: int,
        *,
        activation: str = "gelu",
        gated: bool = False,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        activation_named(activation)
        self.activation, self.gated = activation, gated
        self.num_experts, self.hidden_size, self.intermediate_size = num_experts, hidden_size, intermediate_size
        wide = intermediate_size * (2 if gated else 1)

        def empty(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, device=device, dtype=dtype))

        self.register_parameter(self.first_name("proj"), empty(num_experts, wide, hidden_size))
        self.down_proj = empty(num_experts, hidden_size, intermediate_size)
        self.register_parameter(self.first_name("bias"), empty(num_experts, wide) if bias else None)
        self.down_bias = empty(num_experts, hidden_size) if bias else None
        self.reset_parameters()

    def first_name(self, kind: str) -> str:
        """The attribute of the first projection's "proj" (weight) or "bias"."""
        return f"gate_up_{kind}" if self.gated else f"up_{kind}"

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan-in), as nn.Linear draws each of its matrices."""
        for name, parameter in self.named_parameters():
            fan_in = self.intermediate_size if name.startswith("down") else self.hidden_size
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5)

    def forward(self, x: Tensor, token_of_row: Tensor, expert_of_row: Tensor, ends: Tensor) -> Tensor:
        """Each row's output before its gate.

        Args:
            x: [tokens, H] in the weights' dtype.
            token_of_row: int64 [rows].
            expert_of_row: int64 [rows], ascending; E for rows that no expert computes, whose output is zero.
            ends: int32 [E], where each expert's rows end.

        Returns [rows, H].
        """
        first = getattr(self, self.first_name("proj"))
        hidden = gathered_mm(x, first.transpose(1, 2), ends, token_of_row)
        first_bias = getattr(self, self.first_name("bias"))
        if first_bias is not None:
            hidden = hidden + _of_rows(first_bias, expert_of_row)
        hidden = activate(hidden, ACTIVATIONS[self.activation], self.gated)
        out = grouped_mm(hidden, self.down_proj.transpose(1, 2), offs=ends)
        return out if self.down_bias is None else out + _of_rows(self.down_bias, expert_of_row)

    def extra_repr(self) -> str:
        """For print."""
        sizes = f"{self.num_experts} x {self.hidden_size} -> {self.intermediate_size}"
        return f"{sizes}, activation={self.activation}, gated={self.gated}"


def _of_rows(bias: Tensor, expert_of_row: Tensor) -> Tensor:
    """Each row's bias; zero for rows of no expert."""
    return functional.pad(bias, (0, 0, 0, 1))[expert_of_row]
