"""Mixtures of experts: more parameters than a token pays for.

from assay.moe import MoE

layer = MoE(hidden_size=512, moe_intermediate_size=256, num_experts=16, num_experts_per_tok=2)
output = layer(x)
loss = task_loss(output.hidden_states) + output.router_loss
"""

from assay.moe.hugging_face import register_with_transformers
from assay.moe.int8 import quantise_experts
from assay.moe.layer import MoE, MoEFeedForward, MoEOutput, collect_losses
from assay.moe.losses import load_balancing_loss, router_z_loss

__all__ = [
    "MoE",
    "MoEFeedForward",
    "MoEOutput",
    "collect_losses",
    "load_balancing_loss",
    "quantise_experts",
    "register_with_transformers",
    "router_z_loss",
]
