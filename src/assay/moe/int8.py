"""Experts in int8 for inference: a quarter of float32's file and memory, one scale for each output row of each expert.

Only weights are quantised. A product converts one expert at a time, and only experts that have rows, into a scratch
matrix in the input's dtype; so what is saved is file size and memory, not arithmetic. There are no gradients.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from assay.errors import InputError
from assay.moe.activations import activate
from assay.moe.dispatch import Rows, combine
from assay.moe.experts import Experts, add_bias
from assay.sparse.int8 import LARGEST, check_finite, rounded


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """weight [..., out, in] as int8 of its shape and scales [..., out]; each element errs by at most half its scale.

    Raises InputError for NaN and infinity.
    """
    check_finite(weight)
    # A float16 scale may be subnormal, and then has fewer digits: an eighth of the smallest normal number still has
    # enough for the bound, and zero rows need a scale that is not zero.
    least = torch.finfo(weight.dtype).smallest_normal / 8
    scales = (weight.abs().amax(-1) / LARGEST).clamp(min=least)
    return rounded(weight, scales), scales


@torch.library.custom_op("assay::looped_mm_int8", mutates_args=())
def _mm_int8(rows: Tensor, weight: Tensor, scales: Tensor, ends: Tensor) -> Tensor:
    """rows [R, K] in groups that end at ends [E], times weight [E, N, K] transposed, times scales [E, N]: [R, N]."""
    out = rows.new_zeros(rows.shape[0], weight.shape[1])
    scratch = rows.new_empty(weight.shape[1:])
    start = 0
    for expert, end in enumerate(ends.tolist()):
        if end > start:
            torch.mm(rows[start:end], scratch.copy_(weight[expert]).T, out=out[start:end])
            out[start:end] *= scales[expert]
        start = end
    return out


@_mm_int8.register_fake
def _(rows: Tensor, weight: Tensor, scales: Tensor, ends: Tensor) -> Tensor:
    return rows.new_empty(rows.shape[0], weight.shape[1])


class Int8Experts(nn.Module):
    """`Experts` whose weights are int8 buffers; the names of the float weights with _int8 and _scale at their ends."""

    def __init__(self, experts: Experts) -> None:
        super().__init__()
        self.activation, self.gated, self.first_name = experts.activation, experts.gated, experts.first_name
        first, down, first_bias, down_bias = (None if each is None else each.detach() for each in experts.weights())
        for name, weight in ((self.first_name, first), ("down_proj", down)):
            assert weight is not None
            small, scales = quantise_rows(weight)
            self.register_buffer(f"{name}_int8", small)
            self.register_buffer(f"{name}_scale", scales)
        self.register_buffer("first_bias", None if first_bias is None else first_bias.clone())
        self.register_buffer("down_bias", None if down_bias is None else down_bias.clone())

    @property
    def dtype(self) -> torch.dtype:
        """What inputs must be in."""
        return self.get_buffer("down_proj_scale").dtype

    def forward(self, x: Tensor, rows: Rows, gates: Tensor) -> Tensor:
        """As `Experts`. Raises InputError where a gradient for x is asked for."""
        if torch.is_grad_enabled() and x.requires_grad:
            raise InputError(
                "int8 experts have no gradients",
                rule="they are for inference",
                next_step="run under torch.no_grad(), or train the float model and quantise it afterwards",
            )
        hidden = self._product(
            self.first_name, x.index_select(0, rows.token_of_row), rows, self.get_buffer("first_bias")
        )
        hidden = activate(hidden, self.activation, self.gated)
        values = self._product("down_proj", hidden, rows, self.get_buffer("down_bias"))
        return combine(values, rows, gates, x.shape[0])

    def _product(self, name: str, values: Tensor, rows: Rows, bias: Tensor | None) -> Tensor:
        weight, scales = self.get_buffer(f"{name}_int8"), self.get_buffer(f"{name}_scale")
        return add_bias(_mm_int8(values, weight, scales, rows.ends), bias, rows)


def quantise_experts(model: nn.Module) -> nn.Module:
    """A copy of a model, in evaluation mode, with int8 in all its `Experts`.

    Its state dict loads into any other model quantised from the same architecture. Raises InputError where there are
    no experts to quantise, and for NaN and infinity in their weights.
    """
    quantised = copy.deepcopy(model).eval()
    owners = [(parent, name) for parent in quantised.modules() for name, child in parent.named_children()
              if isinstance(child, Experts)]  # fmt: skip
    if not owners:
        raise InputError(
            "there are no experts to quantise",
            value=type(model).__name__,
            rule="a model with assay.moe.MoE layers in floating point",
        )
    for parent, name in owners:
        setattr(parent, name, Int8Experts(getattr(parent, name)))
    return quantised
