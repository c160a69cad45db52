"""`mixture-of-experts`: feed-forward layers whose experts begin as shards of the dense layer.

Settings: {"experts": 16, "per_token": 2, "width": 128, "modules": ["blocks.0.feed_forward", ...]}; `width` is one
expert's, and divides the dense layer's. Where a token takes all shards of a copy, or of several, the mixture begins as
the dense layer's function (sparse upcycling, see assay.moe.upcycling). Where it takes fewer, which is what makes it
cheaper than the dense layer, it begins as a part of it, scaled to its size, with a router that tells all experts apart
from the start; it has to be trained.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from assay.errors import InputError
from assay.moe.dense import FoundFeedForward, find_feed_forwards
from assay.moe.layer import MoEFeedForward
from assay.moe.routers import TopKRouter
from assay.moe.upcycling import upcycle

NAME = "mixture-of-experts"


def to_mixtures(model: nn.Module, settings: Mapping[str, Any]) -> nn.Module:
    """The model with mixtures of experts. Raises InputError for settings that do not fit it."""
    experts, per_token, width = (_positive(settings, name) for name in ("experts", "per_token", "width"))
    found = {each.name: each for each in find_feed_forwards(model)}
    names = settings.get("modules")
    if not isinstance(names, list) or not names or not set(names) <= set(found):
        raise _unfit(f"modules {names}", f"feed-forward layers of the model: {', '.join(found) or 'none'}")
    by_shards: dict[int, list[str]] = defaultdict(list)
    for name in names:
        by_shards[shards_of(found[name], experts, width)].append(name)
    for shards, alike in by_shards.items():
        model = _convert(model, alike, experts, per_token, shards)
    return model


def shards_of(found: FoundFeedForward, experts: int, width: int) -> int:
    """Into how many experts one dense layer is cut. Raises InputError where they do not come out even."""
    shards, rest = divmod(found.dense.intermediate_size, width)
    if rest or not shards or experts % shards:
        raise InputError(
            "the dense layer cannot be cut into experts of this width",
            value=f"{found.name}: {found.dense.intermediate_size} into {experts} experts of {width}",
            rule="the width divides the dense layer's, and the experts are one or more times as many as that gives",
            next_step="choose another --width, or another number of experts",
        )
    return shards


def _convert(model: nn.Module, names: list[str], experts: int, per_token: int, shards: int) -> nn.Module:
    whole_copies = per_token > 1 and per_token % shards == 0
    model = upcycle(
        model, num_experts=experts, num_experts_per_tok=per_token if whole_copies else shards, modules=names,
        granularity=shards, norm_topk_prob=whole_copies,
    ).model  # fmt: skip
    for name in names:
        layer = model.get_submodule(name)
        assert isinstance(layer, MoEFeedForward)
        if not whole_copies:
            _take_fewer(layer, experts, per_token)
    return model


def _take_fewer(layer: MoEFeedForward, experts: int, per_token: int) -> None:
    """Another router: in upcycling's the shards of a copy have equal rows, so that the same few would always be taken.

    One expert's gate is not divided by itself, which would be 1 whatever the router says and train nothing of it; it is
    about 1 / experts at first, which the expert's output makes up for.
    """
    moe, weight = layer.moe, layer.moe.router.weight
    moe.router = TopKRouter(moe.hidden_size, experts, per_token, norm_topk_prob=per_token > 1, dtype=weight.dtype)
    if per_token == 1:
        with torch.no_grad():
            for each in (moe.experts.down_proj, moe.experts.down_proj_bias):
                if each is not None:
                    each.mul_(experts)


def _positive(settings: Mapping[str, Any], name: str) -> int:
    value = settings.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _unfit(f"{name} {value!r}", f"{name} is a positive whole number")
    return value


def _unfit(value: str, rule: str) -> InputError:
    return InputError(f"these are no settings of {NAME}", value=value[:300], rule=rule[:600])
