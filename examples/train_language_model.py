"""A small language model to train: two transformer blocks and AdamW on sequences of a Markov chain.

What there is to learn is known: the chain's entropy, 1.39 nats a token, below which no loss can fall.
"""

import torch
from torch import nn

VOCABULARY, WIDTH, HEADS, TOKENS, BATCH = 64, 128, 4, 64, 16
SUCCESSORS = 4
"""Every token is followed by one of four, all as likely: log 4 = 1.39 nats."""


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each behind a layer normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [batch, tokens, width] to the same shape."""
        batch, tokens, width = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, tokens, 3, HEADS, width // HEADS)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class LanguageModel(nn.Module):
    """ids [batch, tokens] to logits [batch, tokens, vocabulary]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """One pass."""
        return self.head(self.norm(self.blocks(self.embedding(ids) + self.place)))


def make_model() -> nn.Module:
    """A new model."""
    return LanguageModel()


def make_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """AdamW."""
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def loss(model: nn.Module, ids: torch.Tensor, following: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of the next token."""
    return nn.functional.cross_entropy(model(ids).flatten(0, 1), following.flatten())


def get_batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences and what follows each token."""
    chain = torch.randint(VOCABULARY, (VOCABULARY, SUCCESSORS), generator=torch.Generator().manual_seed(0))
    drawing = torch.Generator().manual_seed(number + 1)
    tokens = [torch.randint(VOCABULARY, (BATCH,), generator=drawing)]
    for _ in range(TOKENS):
        tokens.append(chain[tokens[-1], torch.randint(SUCCESSORS, (BATCH,), generator=drawing)])
    text = torch.stack(tokens, 1)
    return text[:, :-1].contiguous(), text[:, 1:].contiguous()
