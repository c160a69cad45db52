"""A mixture of experts as a loop over tokens, the oracle of these tests."""

import torch
from torch.nn import functional

from assay.moe.activations import ACTIVATIONS


def feed_forward(experts, e, token):
    """One expert on one token."""
    first, down, first_bias, down_bias = (None if w is None else w[e] for w in experts.weights())
    hidden = functional.linear(token, first, first_bias)
    act = ACTIVATIONS[experts.activation]
    if experts.gated:
        half = hidden.shape[0] // 2
        hidden = act(hidden[:half]) * hidden[half:]
    else:
        hidden = act(hidden)
    return functional.linear(hidden, down, down_bias)


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
