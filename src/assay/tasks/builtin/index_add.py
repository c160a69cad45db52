"""Rows summed into a smaller matrix at given indices (messages to the nodes of a graph)."""

import torch
from torch import nn

TASK = {
    "family": "scatter",
    "axes": {"messages": 8192, "nodes": 2048, "width": 128},
    "limits": {"messages": {"max": 12288}, "nodes": {"max": 3072}, "width": {"max": 192}},
    "linear": True,
}


class Model(nn.Module):
    def forward(self, base, index, messages):
        return base.index_add(0, index, messages)


def get_inputs(messages, nodes, width):
    return [torch.randn(nodes, width), torch.randint(nodes, (messages,)), torch.randn(messages, width)]
