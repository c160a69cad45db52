"""Which layers share a loop over positions, and where values lie in memory, by when they are needed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.export.network import Conv, Network


@dataclass(frozen=True, slots=True)
class Stage:
    """Values that one function computes. Of several, all but the last exist at one position at a time."""

    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slot:
    """A value's place in the arena, in bytes."""

    start: int
    size: int


def plan_stages(network: Network) -> tuple[Stage, ...]:
    """Convolutions with windows of one place join the loop of the convolution before: a board of 32 x 32 then takes a
    few numbers for what lies between, not a few boards."""
    stages: list[list[int]] = []
    for value, layer in enumerate(network.layers, 1):
        source = layer.sources[0]
        joins = (
            isinstance(layer.operation, Conv) and layer.operation.window.is_point and layer.shape[1:] != (1, 1)
            and stages and stages[-1][-1] == source and network.users(source) == [value]
            and isinstance(network.layers[source - 1].operation, Conv) and layer.takes == network.shape(source)
        )  # fmt: skip
        if joins:
            stages[-1].append(value)
        else:
            stages.append([value])
    return tuple(Stage(tuple(values)) for values in stages)


def plan_memory(
    network: Network, stages: Sequence[Stage], element_bytes: Mapping[int, int], *, outside: frozenset[int], align: int
) -> tuple[dict[int, Slot], int]:
    """Slots of the values that are not `outside` (the caller's), and how many bytes they take together.

    Largest first, each at the lowest place that is free while it lives, from the stage that computes it to the last one
    that reads it (Pisarchyk and Lee, arXiv 2001.03288, "greedy by size").
    """
    sizes, lives = {}, {}
    for number, stage in enumerate(stages):
        for value in stage.values:
            if value in outside:
                continue
            whole = value == stage.values[-1]
            count = math.prod(network.shape(value)) if whole else network.shape(value)[0]
            sizes[value] = -(-count * element_bytes[value] // align) * align
            readers = [
                place for place, other in enumerate(stages) for user in network.users(value) if user in other.values
            ]
            lives[value] = (number, max(readers, default=len(stages)))
    slots: dict[int, Slot] = {}
    for value in sorted(sizes, key=lambda each: (-sizes[each], each)):
        start = 0
        for other in sorted((slots[each] for each in slots if _meet(lives[each], lives[value])), key=lambda s: s.start):
            if start + sizes[value] <= other.start:
                break
            start = max(start, other.start + other.size)
        slots[value] = Slot(start, sizes[value])
    return slots, max((slot.start + slot.size for slot in slots.values()), default=0)


def _meet(first: tuple[int, int], second: tuple[int, int]) -> bool:
    return first[0] <= second[1] and second[0] <= first[1]
