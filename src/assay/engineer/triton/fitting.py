"""What a call has to look like for a plan's kernels: other sizes, strides or ranks launch nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assay.engineer.codegen.program import Buffer, Place
from assay.engineer.triton.elements import label
from assay.engineer.triton.text import size
from assay.launch.expressions import MOST_CHARACTERS

NAME = "fits"


def fitting(buffers: Iterable[Buffer], sizes: Mapping[str, str]) -> dict[str, str]:
    """Sizes of a plan, the last of which, `fits`, is 1 for calls that the kernels were written for."""
    found: dict[str, str] = {}
    for buffer in buffers:
        if buffer.place in (Place.INPUT, Place.WEIGHT, Place.OUTPUT):
            for number, text in enumerate(_packed(_conditions(buffer, sizes))):
                found[f"{NAME}_{label(buffer)}_{number}"] = text
    level = list(found)
    while len(level) > 1:
        packed = _packed(level)
        level = [f"{NAME}_{len(found) + i}" for i in range(len(packed))]
        found |= dict(zip(level, packed, strict=True))
    return found | {NAME: level[0] if level else "1"}


def _conditions(buffer: Buffer, sizes: Mapping[str, str]) -> list[str]:
    name = label(buffer)
    found = [f"{name}.ndim == {len(buffer.shape)}"]
    for dim, (count, stride) in enumerate(zip(buffer.shape, buffer.stride, strict=True)):
        text, place = size(count, ""), f"{name}.shape[{dim}]"
        if sizes.get(text) != place:
            found.append(f"{place} == {text}")
        text, step = size(stride, ""), f"{name}.stride[{dim}]"
        if count != 1 and sizes.get(text) != step:
            # Dimensions of one element have any stride, and so have all of a tensor without elements.
            found.append(f"({place} <= 1 or {name}.numel == 0 or {step} == {text})")
    return found


def _packed(conditions: list[str]) -> list[str]:
    """All of them, as many to an expression as it may have characters and operations."""
    lines = [""]
    for one in conditions:
        longer = f"{lines[-1]} and {one}" if lines[-1] else one
        if lines[-1] and (len(longer) > MOST_CHARACTERS // 2 or longer.count(" and ") > 8):
            lines.append(one)
        else:
            lines[-1] = longer
    return lines
