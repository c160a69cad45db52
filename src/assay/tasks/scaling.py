"""Smaller sizes for a KernelBench task, so that a machine without a large GPU can run it in about 5 to 50 ms a call.

The method, with nothing executed:

1. Estimate from the text how many elements the inputs have and how many multiply-adds a call takes (scaling_cost).
2. While either exceeds its budget, halve one size. Batches go first, then images and sequences, then features; within
   a class the largest goes first, and equal sizes of a class go together (a square stays square). Odd sizes stay odd.
3. A size is left alone where it is small, where the program's classes contain the same number as a literal (a width)
   or as an argument's default (an image size), where half of it would break a divisibility that held before (groups,
   heads, patches), and where it would fall below four times the kernel. Image sizes are left alone where a linear layer
   follows convolutions without a global pooling between them, for its width counts the pixels, and so are widths where
   a layer normalisation follows convolutions, for its weight may have the image's width.

Every changed constant is named in a note with its old and its new value.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

from assay.tasks.scaling_cost import CostModel
from assay.tasks.size_constants import ProgramSizes, SizeConstant, read_sizes
from assay.tasks.source_reading import PythonFacts

_SMALL = {0: 3, 1: 16, 2: 32}
"""Least size of each kind that may shrink: below are settings (heads, groups, kernels) more often than sizes, and one
image in training mode has no batch statistics."""

_SETTINGS = ("kernel", "stride", "padding", "dilation", "group", "head", "layers", "pool", "patch", "dropout")
_DIVISORS = ("group", "head", "patch", "block", "state", "pool", "ratio")


class _Kind(IntEnum):
    """What a size counts."""

    BATCH = 0
    EXTENT = 1
    FEATURE = 2


# The order in which sizes are halved, each down to its floor; a later line only where the earlier did not suffice.
_STEPS = (
    (_Kind.BATCH, 64),
    (_Kind.EXTENT, 64),
    (_Kind.FEATURE, 1024),
    (_Kind.BATCH, 8),
    (_Kind.EXTENT, 32),
    (_Kind.FEATURE, 256),
    (_Kind.BATCH, 2),
    (_Kind.EXTENT, 16),
    (_Kind.FEATURE, 64),
    (_Kind.EXTENT, 8),
    (_Kind.FEATURE, 32),
)


@dataclass(frozen=True, slots=True)
class _Shrinkable:
    """Sizes that are halved together: same kind, same value."""

    kind: _Kind
    labels: tuple[str, ...]


def scaled_text(text: str, facts: PythonFacts) -> tuple[str, tuple[str, ...]]:
    """The program with smaller constants, and one note per changed constant."""
    program = read_sizes(facts)
    sizes = _shrink(program, facts)
    changed = [c for c in program.constants.values() if sizes[c.label] != c.value]
    notes = tuple(f"scaled: {c.label} {c.value} -> {sizes[c.label]}" for c in changed)
    return _rewrite(text, changed, sizes), notes


def _shrink(program: ProgramSizes, facts: PythonFacts) -> dict[str, int]:
    sizes = {label: constant.value for label, constant in program.constants.items()}
    cost = CostModel(program, facts)
    groups = _groups(program, facts, cost)
    least = _least_extent(program, cost)
    for kind, floor in _STEPS:
        while cost.too_large(sizes):
            open_ones = [group for group in groups if group.kind is kind and sizes[group.labels[0]] > floor]
            open_ones.sort(key=lambda group: -sizes[group.labels[0]])
            smaller = next(filter(None, (_halved(group, floor, least, sizes, program) for group in open_ones)), None)
            if smaller is None:
                break
            sizes |= smaller
    return sizes


def _halved(
    group: _Shrinkable, floor: int, least_extent: int, sizes: Mapping[str, int], program: ProgramSizes
) -> dict[str, int] | None:
    """The group's new sizes, or None where half is too small or breaks a divisibility that held at full size."""
    old = sizes[group.labels[0]]
    half = old // 2 if old % 2 == 0 or group.kind is _Kind.BATCH else old // 2 | 1
    if half < max(floor, least_extent if group.kind is _Kind.EXTENT else 0):
        return None
    smaller = dict.fromkeys(group.labels, half)
    if group.kind is _Kind.BATCH or not any(_breaks(label, {**sizes, **smaller}, program) for label in group.labels):
        return smaller
    return None


def _breaks(label: str, sizes: Mapping[str, int], program: ProgramSizes) -> bool:
    """Whether some divisor of the full size no longer divides the new one."""
    full = program.constants[label].value
    divisors = (c for c in program.constants.values() if any(word in c.name for word in _DIVISORS))
    return any(1 < c.value < full and full % c.value == 0 and sizes[label] % sizes[c.label] != 0 for c in divisors)


def _least_extent(program: ProgramSizes, cost: CostModel) -> int:
    """Four kernels, twice what a dilated one spans, and what a network's five halvings of an image need."""
    kernel = max((c.value for c in program.constants.values() if "kernel" in c.name), default=1)
    dilation = max((c.value for c in program.constants.values() if "dilation" in c.name), default=1)
    network = 32 if cost.has_convolution and len(cost.layers) >= 4 else 1
    kernels = 2 if cost.transposed else 4  # a transposed convolution enlarges what it is given
    return max(kernels * kernel, 2 * kernel * dilation, network)


def _groups(program: ProgramSizes, facts: PythonFacts, cost: CostModel) -> list[_Shrinkable]:
    """The sizes that may shrink, those of the same kind and value together."""
    literals, defaults = set(_literals(facts)), set(_defaults(facts))
    counts_pixels = _counts_pixels(facts)
    broadcast = _broadcast_values(program)
    normalised = program.shapes[0][-1].label if program.shapes else None
    found: dict[tuple[_Kind, int], list[str]] = {}
    for label, constant in program.constants.items():
        kind = _kind(constant, program, cost)
        pinned = constant.value in (literals if kind is _Kind.FEATURE else defaults if kind is _Kind.EXTENT else ())
        if cost.has_layer_norm and cost.has_convolution:
            pinned = pinned or label == normalised or (kind is _Kind.FEATURE and label in program.init_labels)
        if kind is None or constant.value < _SMALL[kind] or pinned or (kind is _Kind.EXTENT and counts_pixels):
            continue
        key = (_Kind.BATCH if constant.value in broadcast else kind, constant.value)
        found.setdefault(key, []).append(label)
    return [_Shrinkable(kind, tuple(labels)) for (kind, _), labels in found.items()]


def _kind(constant: SizeConstant, program: ProgramSizes, cost: CostModel) -> _Kind | None:
    """What a constant counts, by its name and its places; None for settings and for what no shape or layer uses."""
    if "batch" in constant.name:
        return _Kind.BATCH
    places = [
        (position, len(shape))
        for shape in program.shapes
        for position, dimension in enumerate(shape)
        if dimension.label == constant.label
    ]
    to_constructor = constant.label in program.init_labels
    if any(word in constant.name for word in _SETTINGS) or not (places or to_constructor):
        return None
    if not places:
        return None if "class" in constant.name or constant.name.startswith("max") else _Kind.FEATURE
    position, rank = places[0]
    if "seq" in constant.name or "len" in constant.name:
        return _Kind.EXTENT
    if position == 0 and rank > 2 and not to_constructor:
        return _Kind.BATCH
    last_width = position == rank - 1 and to_constructor and not cost.has_convolution
    return _Kind.EXTENT if position >= 2 and not last_width else _Kind.FEATURE


def _broadcast_values(program: ProgramSizes) -> set[int]:
    """Sizes of vectors that another input may be broadcast against: all constants of that value shrink together."""
    vectors = {shape[0].value for shape in program.shapes if len(shape) == 1}
    return vectors & {shape[-1].value for shape in program.shapes if len(shape) > 1}


def _counts_pixels(facts: PythonFacts) -> bool:
    """Whether a linear layer's width depends on the image's size."""
    text = "\n".join(map(ast.unparse, facts.classes.values()))
    flattens = "Linear(" in text and "Conv" in text
    pools_globally = "daptive" in text or ".mean(" in text or "permute" in text or "transpose" in text
    return flattens and not pools_globally


def _literals(facts: PythonFacts) -> Iterator[int]:
    """Integers that stand in the program's classes and helper functions."""
    helpers = [f for name, f in facts.functions.items() if name not in ("get_inputs", "get_init_inputs")]
    for body in (*facts.classes.values(), *helpers):
        for node in ast.walk(body):
            if isinstance(node, ast.Constant) and type(node.value) is int:
                yield node.value


def _defaults(facts: PythonFacts) -> Iterator[int]:
    """Integers that are defaults of arguments there, such as img_size=224."""
    for body in facts.classes.values():
        for node in ast.walk(body):
            if isinstance(node, ast.arguments):
                values = [*node.defaults, *node.kw_defaults]
                yield from (v.value for v in values if isinstance(v, ast.Constant) and type(v.value) is int)


def _rewrite(text: str, changed: list[SizeConstant], sizes: Mapping[str, int]) -> str:
    """The text with new integers in place of the old ones, nothing else touched."""
    lines = text.split("\n")
    for constant in sorted(changed, key=lambda c: (c.node.lineno, c.node.col_offset), reverse=True):
        node = constant.node
        raw = lines[node.lineno - 1].encode()
        new = str(sizes[constant.label]).encode()
        lines[node.lineno - 1] = (raw[: node.col_offset] + new + raw[node.end_col_offset :]).decode()
    return "\n".join(lines)
