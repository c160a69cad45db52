"""A mixture of experts as a loop over tokens, the oracle of these tests."""

import torch
from torch.nn import functional

from assay.moe.experts import ACTIVATIONS


def feed_forward(experts, e, token):
    """One expert on one token."""
    first, bias = getattr(experts, experts.first_name("proj"))[e], getattr(experts, experts.first_name("bias"))
    hidden = functional.linear(token, first, None if bias is None else bias[e])
    act = ACTIVATIONS[experts.activation]
    if experts.gated:
        half = hidden.shape[0] // 2
        hidden = act(hidden[:half]) * hidden[half:]
    else:
        hidden = act(hidden)
    return functional.linear(hidden, experts.down_proj[e], None if experts.down_bias is None else experts.down_bias[e])


def reference(layer, tokens):
    """The output [tokens, H] of a dropless softmax top-k layer."""
    outputs = []
    for token in tokens:
        scores = (layer.router.weight @ token).softmax(0)
        gates, chosen = scores.topk(layer.router.num_experts_per_tok)
        if layer.router.norm_topk_prob:
            gates = gates / gates.sum()
        parts = [g * feed_forward(layer.experts, e, token) for g, e in zip(gates, chosen.tolist(), strict=True)]
        outputs.append(torch.stack(parts).sum(0))
    return torch.stack(outputs)
