"""How wide may a block-sparse feed-forward be for the cost of the dense one? Measured, as a whole training step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any

import torch

from benchmarks.moe.layers import BlockSparse
from benchmarks.moe.model import LanguageModel, make_model
from benchmarks.moe.record import Record
from benchmarks.moe.settings import Arm, Settings, Trial
from benchmarks.moe.text import Corpus
from benchmarks.moe.training import make_optimizer, train_step
from benchmarks.sparse.timing import Call, take_turns

_ROUNDS = 15
_CLOSE = 0.02
"""Near enough: medians of turns repeat to about this on a busy machine."""
_TRIALS = 6
_TRIAL = Trial(1e-4, 0.99)
_BATCHES = 8


def match_all(record: Record, settings: Settings, corpus: Corpus, arms: Sequence[Arm]) -> None:
    """Find and keep the hidden units of every block-sparse arm among these that has none yet."""
    for arm in arms:
        if arm.sparsity and arm.name not in record.matched:
            found = match(arm, settings, corpus, lambda words: print(words, flush=True))
            record.put("matched", {**record.data["suites"].get("matched", {}), arm.name: found})


def match(
    arm: Arm, settings: Settings, corpus: Corpus, say: Callable[[str], None], rounds: int = _ROUNDS
) -> dict[str, Any]:
    """The hidden units, in whole blocks, at which a training step costs what the reference's does.

    Widths double until one costs more, and are then interpolated; every width that was tried is in the result.
    """
    reference = settings.arm(settings.of(arm).reference)
    assert reference.hidden is not None, "a reference is dense"
    dense = training_call(make_model(reference, settings, 0), reference, settings, corpus)
    tried: dict[int, dict[str, Any]] = {}
    hidden = _blocks(reference.hidden, arm)
    while hidden not in tried and len(tried) < _TRIALS:
        model = make_model(arm, settings, 0, hidden)
        sparse = training_call(model, arm, settings, corpus)
        ratio, lower, upper = take_turns({"sparse": sparse, "dense": dense}, rounds).ratio("sparse", "dense")
        tried[hidden] = {"hidden": hidden, "ratio": [ratio, lower, upper], "products": _explained(model)}
        say(f"[match] {arm.name}: {hidden} hidden units cost {ratio:.3f} ({lower:.3f} to {upper:.3f}) of dense")
        if abs(ratio - 1) <= _CLOSE:
            break
        hidden = _blocks(_next_width(tried), arm)
    best = min(tried.values(), key=lambda each: abs(each["ratio"][0] - 1))
    return {**best, "tried": list(tried.values())}


def training_call(model: LanguageModel, arm: Arm, settings: Settings, corpus: Corpus) -> Call:
    """A training step on batches of real text, which decide how busy each expert is."""
    shape, training = settings.of(arm), settings.training
    optimizer = make_optimizer(model, training, _TRIAL)
    places = torch.Generator().manual_seed(0)
    batches = cycle([corpus.batch(places, shape.batch, shape.context) for _ in range(_BATCHES)])
    return lambda: train_step(model, optimizer, next(batches), training)


def _next_width(tried: dict[int, dict[str, Any]]) -> float:
    """Between the nearest cheaper and the nearest dearer width, where cost grows evenly; until both are there, further.

    Noise can make the wider of two the cheaper, so no line is drawn through two on the same side.
    """
    costs = {hidden: each["ratio"][0] for hidden, each in tried.items()}
    cheaper, dearer = ([hidden for hidden in costs if (costs[hidden] < 1) is side] for side in (True, False))
    if not dearer:
        return 2 * max(cheaper)
    if not cheaper:
        return min(dearer) / 2
    low, high = max(cheaper, key=lambda h: costs[h]), min(dearer, key=lambda h: costs[h])
    return low + (1 - costs[low]) * (high - low) / (costs[high] - costs[low])


def _blocks(hidden: float, arm: Arm) -> int:
    return max(round(hidden / arm.block), 1) * arm.block


def _explained(model: LanguageModel) -> list[str]:
    """What each product of the first feed-forward took, sparse or a dense one."""
    sparse = next(module for module in model.modules() if isinstance(module, BlockSparse))
    return [layer.explain() for layer in (sparse.up, sparse.down)]
