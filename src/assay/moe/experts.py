"""The experts: feed-forward networks with their weights stacked, applied to rows that are sorted by expert.

Names and shapes are those of Hugging Face's experts: gate_up_proj [E, 2I, H] (gate rows first) or, without a gate,
up_proj [E, I, H]; down_proj [E, H, I]; biases end in _bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.moe.activations import activate, activation_named
from assay.moe.dispatch import Rows, combine
from assay.sparse.grouped import gathered_mm, grouped_mm, scattered_mm


class Experts(nn.Module):
    """E feed-forward networks of hidden_size -> intermediate_size -> hidden_size.

    Args:
        num_experts: E.
        hidden_size: H.
        intermediate_size: I, of one expert.
        activation: a name of `assay.moe.activations.ACTIVATIONS`.
        gated: down(activation(gate(x)) * up(x)), as in SwiGLU; else down(activation(up(x))).
        bias: biases on both projections.
        device: where the weights live.
        dtype: of the weights.
    """

    down_proj: Tensor
    down_proj_bias: Tensor | None

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
        self.first_name = "gate_up_proj" if gated else "up_proj"
        shapes: dict[str, tuple[int, ...]] = {
            self.first_name: (num_experts, wide, hidden_size),
            "down_proj": (num_experts, hidden_size, intermediate_size),
            f"{self.first_name}_bias": (num_experts, wide),
            "down_proj_bias": (num_experts, hidden_size),
        }
        for name, shape in shapes.items():
            wanted = bias or not name.endswith("bias")
            value = nn.Parameter(torch.empty(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in +-1/sqrt(fan-in), as nn.Linear draws each of its matrices."""
        for name, parameter in self.named_parameters():
            fan_in = self.intermediate_size if name.startswith("down") else self.hidden_size
            nn.init.uniform_(parameter, -(fan_in**-0.5), fan_in**-0.5)

    @property
    def dtype(self) -> torch.dtype:
        """What inputs must be in."""
        return self.down_proj.dtype

    def weights(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """First projection [E, I or 2I, H], second [E, H, I], and their biases."""
        first = self.first_name
        return getattr(self, first), self.down_proj, getattr(self, f"{first}_bias"), self.down_proj_bias

    def forward(self, x: Tensor, rows: Rows, gates: Tensor) -> Tensor:
        """Each token's experts' outputs times their gates [R]: x [T, H] in the weights' dtype (any under autocast) to
        [T, H]."""
        first, down, first_bias, down_bias = self.weights()
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, first, down = x.to(dtype), first.to(dtype), down.to(dtype)
        hidden = add_bias(gathered_mm(x, first.transpose(1, 2), rows.ends, rows.token_of_row), first_bias, rows)
        hidden, second = activate(hidden, self.activation, self.gated), down.transpose(1, 2)
        if down_bias is None:  # the gates and the sums over a token's experts are part of the product
            return scattered_mm(hidden, second, rows.ends, rows.token_of_row, x.shape[0], gates.to(hidden.dtype))
        values = add_bias(grouped_mm(hidden, second, offs=rows.ends), down_bias, rows)
        return combine(values, rows, gates, x.shape[0])

    def extra_repr(self) -> str:
        """For print."""
        sizes = f"{self.num_experts} x {self.hidden_size} -> {self.intermediate_size}"
        return f"{sizes}, activation={self.activation}, gated={self.gated}"


def add_bias(values: Tensor, bias: Tensor | None, rows: Rows) -> Tensor:
    """values [R, W] plus each row's bias of [E, W], in the dtype of values; rows of no expert stay as they are."""
    if bias is None:
        return values
    padded = functional.pad(bias.to(values.dtype), (0, 0, 0, 1))
    # index_select and not brackets: a third faster both ways for 4,096 rows of 1,024 (one thread, Zen 4).
    return values + padded.index_select(0, rows.expert_of_row.clamp(max=bias.shape[0]))
