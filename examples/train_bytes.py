"""A small language model of bytes to make cheaper: two transformer blocks on the sources of Python's standard library.

Nothing is downloaded: the text is what the interpreter has beside it. Every tenth file is held out.

    assay compress examples/train_bytes.py --sparse 0.8 --modules '*feed_forward*' --steps 400 --margin 3%
    assay compress examples/train_bytes.py --moe 8x2 --width 64 --steps 400 --margin 3%
"""

import functools
import pathlib
import sysconfig

import torch
from torch import nn

BYTES, WIDTH, HEADS, TOKENS, BATCH = 256, 128, 4, 64, 8
HELD_OUT_BATCHES = 32
SCORE, UNIT, CAUSAL = "cross-entropy", "nats per byte", True


class FeedForward(nn.Module):
    """x [..., width] to the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One pass."""
        return self.down(nn.functional.gelu(self.up(x)))


class Block(nn.Module):
    """Causal attention and a feed-forward layer, each behind a layer normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed_forward = FeedForward()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x [batch, tokens, width] to the same shape."""
        batch, tokens, width = x.shape
        heads = self.qkv(self.norm1(x)).view(batch, tokens, 3, HEADS, width // HEADS)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.feed_forward(self.norm2(x))


class LanguageModel(nn.Module):
    """Bytes [batch, tokens] to logits [batch, tokens, 256]."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BYTES, WIDTH)
        self.place = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.blocks = nn.Sequential(Block(), Block())
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, BYTES)

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
    """Cross-entropy of the next byte."""
    return nn.functional.cross_entropy(model(ids).flatten(0, 1), following.flatten())


def get_batch(number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces of the training text and what follows each byte."""
    return draw(text(held_out=False), number)


def held_out() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Pieces of files that no training step sees."""
    return [draw(text(held_out=True), number) for number in range(HELD_OUT_BATCHES)]


def score(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The mean cross-entropy of each piece."""
    return nn.functional.cross_entropy(outputs.transpose(1, 2), targets, reduction="none").mean(1)


def draw(source: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch at random places."""
    drawing = torch.Generator().manual_seed(number)
    starts = torch.randint(len(source) - TOKENS, (BATCH,), generator=drawing)
    pieces = source[starts[:, None] + torch.arange(TOKENS + 1)].long()
    return pieces[:, :-1].contiguous(), pieces[:, 1:].contiguous()


@functools.cache
def text(held_out: bool) -> torch.Tensor:
    """The standard library's modules, one after another, in the order of their names."""
    files = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    chosen = [file for number, file in enumerate(files) if (number % 10 == 9) == held_out]
    return torch.frombuffer(bytearray(b"".join(file.read_bytes() for file in chosen)), dtype=torch.uint8)
