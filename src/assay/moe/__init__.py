"""Mixtures of experts: more parameters than a token pays for.

    from assay.moe import MoE

    layer = MoE(hidden_size=512, moe_intermediate_size=256, num_experts=16, num_experts_per_tok=2)
    output = layer(x)
    loss = task_loss(output.hidden_states) + output.router_loss

In a model whose block expects a tensor, `layer.as_feed_forward()` and `collect_losses(model)`. `upcycle` makes one of a
dense model, `quantise_experts` shrinks it, `register_with_transformers` puts our experts into transformers' models.
"""

from assay.moe.dense import find_feed_forwards
from assay.moe.hugging_face import register_with_transformers
from assay.moe.int8 import quantise_experts
from assay.moe.layer import MoE, MoEFeedForward, collect_losses
from assay.moe.losses import load_balancing_loss, router_z_loss
from assay.moe.routing import MoEOutput
from assay.moe.upcycling import Upcycled, upcycle

__all__ = [
    "MoE",
    "MoEFeedForward",
    "MoEOutput",
    "Upcycled",
    "collect_losses",
    "find_feed_forwards",
    "load_balancing_loss",
    "quantise_experts",
    "register_with_transformers",
    "router_z_loss",
    "upcycle",
]
