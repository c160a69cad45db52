"""Sparse upcycling: a trained dense model becomes a mixture of experts that starts as the same function.

Every expert begins as a copy of the dense layer (arXiv 2212.05055), or, with granularity G, as one of G shards of it
(arXiv 2410.07524): copy c has the experts cG .. cG + G - 1, its shards, whose router rows are equal, so that a token
picks all shards of a copy or none ("virtual groups").
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from assay.errors import InputError
from assay.moe.dense import DenseFeedForward, FoundFeedForward, find_feed_forwards
from assay.moe.experts import Experts
from assay.moe.layer import MoE, MoEFeedForward


class Upcycled(NamedTuple):
    """What `upcycle` returns."""

    model: nn.Module
    """The new model; the dense one is untouched."""
    converted: tuple[str, ...]
    """Paths of the feed-forward layers that are now `MoEFeedForward`."""
    equal_at_start: bool
    """Whether the new model computes what the dense one does, see `upcycle`."""


def upcycle(
    dense_model: nn.Module,
    *,
    num_experts: int,
    num_experts_per_tok: int,
    modules: Sequence[str] | None = None,
    granularity: int = 1,
    noise: float = 0.0,
    **options: Any,
) -> Upcycled:
    """A copy of a model with mixtures of experts in the place of its dense feed-forward layers.

    Layers are found by form and verified by computing, see `assay.moe.dense`. In evaluation mode the new model equals
    the dense one up to rounding if the router is "top_k" or "bias" with norm_topk_prob, noise is 0 and there is no
    capacity_factor: a token's gates then sum to 1 over copies that all give the dense output. With a granularity, the
    down projections are multiplied by G, because each shard gets 1/G of its copy's gate; equality then needs that no
    token's logits tie between copies, which random router weights exclude but for a token of zeros. A shared expert
    (shared_intermediate_size) starts with zeros in its down projection and changes nothing. Dropout inside a converted
    layer is gone.

    Args:
        dense_model: any module; it may itself be a feed-forward layer.
        num_experts: of each layer, a multiple of the granularity.
        num_experts_per_tok: how many a token takes, a multiple of the granularity.
        modules: paths of feed-forward layers, or of modules that contain them; None for all. Every other layer, as in
            arXiv 2212.05055: `[found.name for found in find_feed_forwards(model)][1::2]`.
        granularity: G, the shards that a dense layer is cut into; divides its intermediate size.
        noise: standard deviation of normal noise on each expert's weights, relative to each matrix's own.
        options: further arguments of `MoE`, such as router, scoring, router_aux_loss_coef, shared_intermediate_size.

    Raises InputError where nothing is found, a path of `modules` names nothing, or a size cannot be divided.
    """
    _check_division("num_experts", num_experts, granularity)
    _check_division("num_experts_per_tok", num_experts_per_tok, granularity)
    model = copy.deepcopy(dense_model)
    chosen = _choose(find_feed_forwards(model), modules)
    for found in chosen:
        moe = _convert(found, num_experts, num_experts_per_tok, granularity, noise, options)
        model = _put(model, found, moe.as_feed_forward())
    gates_sum_to_one = options.get("norm_topk_prob", True) and options.get("router", "top_k") != "expert_choice"
    equal = gates_sum_to_one and noise == 0 and options.get("capacity_factor") is None
    return Upcycled(model, tuple(found.name for found in chosen), bool(equal))


def _choose(found: tuple[FoundFeedForward, ...], modules: Sequence[str] | None) -> list[FoundFeedForward]:
    wanted = [""] if modules is None else modules

    def inside(name: str, path: str) -> bool:
        return path in ("", name) or name.startswith(f"{path}.")

    for path in wanted:
        if not any(inside(each.name, path) for each in found):
            raise InputError(
                "there is no dense feed-forward layer to convert" + (f" in {path!r}" if path else ""),
                value=f"found: {', '.join(repr(each.name) for each in found) or 'none'}",
                rule="linear, known activation, linear back to the same width, with or without a gate, nothing else",
                next_step="name one of those found, or make the layer a module of its own",
            )
    return [each for each in found if any(inside(each.name, path) for path in wanted)]


def _convert(
    found: FoundFeedForward, num_experts: int, per_token: int, granularity: int, noise: float, options: dict[str, Any]
) -> MoE:
    dense = found.dense
    _check_division(f"the intermediate size of {found.name!r}", dense.intermediate_size, granularity)
    layers = [dense.up, dense.down] + ([] if dense.gate is None else [dense.gate])
    moe = MoE(
        dense.hidden_size,
        dense.intermediate_size // granularity,
        num_experts,
        per_token,
        activation=found.activation,
        gated=dense.gate is not None,
        bias=any(bias is not None for _, bias in layers),
        device=dense.up[0].device,
        dtype=dense.up[0].dtype,
        **options,
    )
    with torch.no_grad():
        _fill(moe.experts, dense, granularity, noise)
        groups = moe.router.weight[::granularity].repeat_interleave(granularity, 0)
        moe.router.weight.copy_(groups)
        if moe.shared_expert is not None:
            for parameter in moe.shared_expert.down.parameters():
                parameter.zero_()
    return moe.train(found.owner.training)


def _fill(experts: Experts, dense: DenseFeedForward, granularity: int, noise: float) -> None:
    """The experts' weights: shards of the dense ones, copy after copy."""
    inner = [dense.up] if dense.gate is None else [dense.gate, dense.up]
    hidden, part = dense.hidden_size, dense.intermediate_size // granularity
    down, down_bias = dense.down
    biases = [down.new_zeros(dense.intermediate_size) if bias is None else bias for _, bias in inner]
    values = (
        torch.cat([weight.reshape(granularity, part, hidden) for weight, _ in inner], 1),
        down.reshape(hidden, granularity, part).transpose(0, 1) * granularity,
        torch.cat([bias.reshape(granularity, part) for bias in biases], 1),
        (down.new_zeros(hidden) if down_bias is None else down_bias).expand(granularity, hidden),
    )
    copies = experts.num_experts // granularity
    for target, value in zip(experts.weights(), values, strict=True):
        if target is not None:
            target.copy_(value.repeat(copies, *[1] * (value.dim() - 1)))
            if noise and target.dim() == 3:
                target.add_(torch.randn_like(target) * (noise * value.std()))


def _put(model: nn.Module, found: FoundFeedForward, layer: MoEFeedForward) -> nn.Module:
    """The model with the layer in its place, wherever the dense one is shared."""
    if found.run is not None:
        assert isinstance(found.owner, nn.Sequential)
        # The other layers become identities, so that whatever follows in the nn.Sequential keeps its path.
        for index in found.run:
            found.owner[index] = layer if index == found.run[0] else nn.Identity()
        return model
    if found.owner is model:
        return layer
    for parent in model.modules():
        for name, child in list(parent._modules.items()):
            if child is found.owner:
                setattr(parent, name, layer)
    return model


def _check_division(what: str, size: int, granularity: int) -> None:
    if granularity < 1 or size % granularity:
        raise InputError(
            f"{what} cannot be cut into shards",
            value=f"{size} by granularity {granularity}",
            rule="a multiple of the granularity, which is at least 1",
        )
