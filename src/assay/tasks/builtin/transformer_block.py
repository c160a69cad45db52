"""A pre-norm transformer block: causal self-attention and a GELU feed-forward layer, both with residuals."""

import torch
from torch import nn

WIDTH = 256
HEADS = 4

TASK = {
    "family": "block",
    "axes": {"batch": 1, "tokens": 128},
    "limits": {"batch": {"max": 3}, "tokens": {"max": 192}},
    # Twelve width x width products per token, and half of the scores; half of that for Strassen.
    "flops": lambda batch, tokens: batch * tokens * (12 * WIDTH * WIDTH + tokens * WIDTH),
}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)
        self.norm2 = nn.LayerNorm(WIDTH)
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def attend(self, x):
        batch, tokens, _ = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, tokens, WIDTH))

    def forward(self, x):
        x = x + self.attend(self.norm1(x))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


def get_inputs(batch, tokens):
    return [torch.randn(batch, tokens, WIDTH)]
