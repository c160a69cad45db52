"""A mixture of experts beside a dense feed-forward layer of equal active operations, and beside other products.

Router, gathering and combining included. The others are the same layer with F.grouped_mm, or a loop over experts, in
place of Assay's grouped product.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.moe import MoE
from assay.moe.dispatch import Rows, combine
from benchmarks.sparse.timing import Call, WrongResult, check, take_turns

OWN, DENSE = "assay.moe", "dense"
SIZES = ((256, 256, 8, 2), (512, 512, 16, 2), (1024, 512, 32, 4), (64, 128, 16, 2))
"""Hidden size, an expert's width, experts, experts of a token."""
ROWS_AN_EXPERT = (256, 128, 64, 16)
Product = Callable[[Tensor, Tensor, Tensor], Tensor]


def expert_cases(quick: bool) -> Iterator[tuple[str, Any]]:
    """(name, function that gives a row) for sizes and rows an expert, forward and with gradients; and one token."""
    sizes, loads = (SIZES[-1:], (64,)) if quick else (SIZES, ROWS_AN_EXPERT)
    for (hidden, width, experts, taken), load, training in itertools.product(sizes, loads, (False, True)):
        tokens = load * experts // taken
        what = "step" if training else "forward"
        name = f"{experts} experts of {hidden} x {width}, top {taken}, {load} rows each, {what}"
        yield name, lambda s=(hidden, width, experts, taken), t=tokens, g=training: experts_row(s, t, g)
    for hidden, width, experts, taken in sizes:
        name = f"{experts} experts of {hidden} x {width}, top {taken}, one token, forward"
        yield name, lambda s=(hidden, width, experts, taken): experts_row(s, 1, False)


def experts_row(sizes: tuple[int, int, int, int], tokens: int, training: bool) -> dict[str, Any]:
    """The time of the mixture over the dense layer's, and of the others over the mixture's."""
    hidden, width, experts, taken = sizes
    torch.manual_seed(0)
    layer = MoE(hidden, width, experts, taken)
    dense = nn.Sequential(
        nn.Linear(hidden, taken * width, bias=False), nn.GELU(), nn.Linear(taken * width, hidden, bias=False)
    )
    x = torch.randn(tokens, hidden, requires_grad=training)
    forwards: dict[str, Callable[[], Tensor]] = {OWN: lambda: layer(x).hidden_states}
    for name, product in (("F.grouped_mm", torch_grouped), ("loop over experts", loop)):
        forwards[name] = lambda product=product: with_product(layer, x, product)
    with torch.no_grad():
        exact = by_token(layer, x)
        errors: dict[str, Any] = {}
        for name, forward in list(forwards.items()):
            try:
                errors |= check({name: forward}, exact)
            except (RuntimeError, WrongResult) as error:
                errors[name] = str(error)[:200]
                del forwards[name]
    if OWN not in forwards:
        raise WrongResult(str(errors[OWN]))
    forwards[DENSE] = lambda: dense(x)
    ways = {name: step(forward, layer if name != DENSE else dense, x) if training else forward
            for name, forward in forwards.items()}  # fmt: skip
    with torch.set_grad_enabled(training):
        times = take_turns(ways)
    counts = layer(x).expert_counts
    return {
        "sizes": sizes, "tokens": tokens, "rows_an_expert": tokens * taken / experts, "training": training,
        "counts": counts.tolist(), "over_dense": times.ratio(OWN, DENSE), "errors": errors,
        "others": {name: times.ratio(name, OWN) for name in ways if name not in (OWN, DENSE)},
        "milliseconds": {name: times.median_ms(name) for name in ways},
    }  # fmt: skip


def step(forward: Callable[[], Tensor], module: nn.Module, x: Tensor) -> Call:
    """A forward pass and the gradients of the input and all weights."""
    wanted = [x, *module.parameters()]
    slope = torch.randn_like(x)
    return lambda: torch.autograd.grad(forward(), wanted, slope, allow_unused=True)


def with_product(layer: MoE, x: Tensor, product: Product) -> Tensor:
    """The layer with another grouped product."""
    routing = layer.router(x)
    first, second, _, _ = layer.experts.weights()
    rows: Rows = routing.rows
    inner = functional.gelu(product(x[rows.token_of_row], first.transpose(1, 2), rows.ends))
    return combine(product(inner, second.transpose(1, 2), rows.ends), rows, routing.gates, x.shape[0])


def torch_grouped(rows: Tensor, w: Tensor, ends: Tensor) -> Tensor:
    """PyTorch's."""
    return functional.grouped_mm(rows, w, offs=ends.int())


def loop(rows: Tensor, w: Tensor, ends: Tensor) -> Tensor:
    """The best loop: `w[e]` instead of `unbind` would make a gradient of all experts for each of them."""
    parts = zip(rows.tensor_split(ends[:-1].cpu().long()), w.unbind(0), strict=True)
    return torch.cat([part @ matrix for part, matrix in parts])


def by_token(layer: MoE, x: Tensor) -> Tensor:
    """In float64, every row by itself."""
    routing = layer.router(x)
    first, second, _, _ = (each if each is None else each.detach().double() for each in layer.experts.weights())
    y = torch.zeros(x.shape, dtype=torch.float64)
    gates = routing.gates
    ends = routing.rows.ends.tolist()
    for expert, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
        tokens = routing.rows.token_of_row[start:end]
        inner = functional.gelu(x.detach()[tokens].double() @ first[expert].T)
        y.index_add_(0, tokens, (inner @ second[expert].T) * gates[start:end, None].double())
    return y
