"""In which variants a kernel is compiled, and when each is launched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from assay.engineer.codegen.index import Size, hinted
from assay.engineer.codegen.program import Unsupported
from assay.engineer.triton.nest import Nest
from assay.engineer.triton.schedule import Schedule, power_of_two
from assay.engineer.triton.text import size

_SHORT, _MIDDLE = 64, 1024
"""Rows up to these are held many and a few at a time; a tile for the longest rows would be mostly empty on them."""
_MOST_WARPS = 16
_SQUARE = 32
"""Both ways of a transposition's tile: 32 elements are a line each way."""


@dataclass(frozen=True, slots=True)
class Variant:
    """`body` names the method that writes it.

    It serves places of 32 bits where it is `narrow`, and those of 64 where `widest`, then under `when_wide`.
    """

    body: str
    grid: str
    constants: Mapping[str, int] = field(default_factory=dict)
    when: str = "1"
    warps: int = 4
    stages: int = 3
    narrow: bool = True
    widest: bool = True
    when_wide: str = "1"


def variants(nest: Nest, schedule: Schedule, hints: Mapping[str, int]) -> Iterator[Variant]:
    """Of a nest: each size has one."""
    tile = nest.tile
    if not tile.looped:
        rows, block = _map_tile(nest, schedule, hints)
        yield _variant("held", nest, rows, block, schedule)
    elif tile.apart or not set(tile.first).isdisjoint(_lanes(nest)):
        lanes = power_of_two(hinted(tile.rows, hints), 16, schedule.lanes)
        if not nest.can_loop:
            raise Unsupported("a scan along an outer dimension whose result another pass reads")
        yield _variant("looped", nest, lanes, max(schedule.tile // lanes, 1), schedule)
    else:
        yield from _rows(nest, schedule, hints)


def _lanes(nest: Nest) -> tuple[object, ...]:
    return nest.tile.first if nest.by_lanes else ()


def _rows(nest: Nest, schedule: Schedule, hints: Mapping[str, int]) -> Iterator[Variant]:
    """Of rows that lie side by side: held while they are short enough."""
    columns, least = nest.tile.columns, 0
    rows = hinted(nest.tile.rows, hints)
    for cap in _caps(columns, schedule):
        count = power_of_two(min(rows, max(schedule.tile // cap, 1)), 1, 64)
        warps = power_of_two(schedule.warps * count * cap // schedule.tile, 1, _MOST_WARPS)
        when = "1" if columns.is_Integer else f"{size(columns, '')} <= {cap}"
        when += f" and {size(columns, '')} > {least}" if least and not columns.is_Integer else ""
        last = cap == _caps(columns, schedule)[-1] and not nest.can_loop
        yield _variant("held", nest, count, cap, schedule, when, warps, widest=last or columns.is_Integer)
        least = cap
    if columns.is_Integer and least:
        return
    if not nest.can_loop:
        return  # Longer rows than a tile holds: the plan launches nothing and says so.
    yield _variant("looped", nest, 1, 2 * schedule.tile, schedule, f"{size(columns, '')} > {least}" if least else "1")


def _caps(columns: Size, schedule: Schedule) -> tuple[int, ...]:
    if columns.is_Integer:
        return (power_of_two(int(columns), 1, 1 << 30),) if columns <= schedule.held else ()
    return tuple(dict.fromkeys(min(cap, schedule.held) for cap in (_SHORT, _MIDDLE, schedule.held)))


def _map_tile(nest: Nest, schedule: Schedule, hints: Mapping[str, int]) -> tuple[int, int]:
    tile = nest.tile
    if not tile.first:
        return 1, schedule.tile if tile.second else 1
    if tile.apart or nest.turned:
        return _SQUARE, _SQUARE
    block = power_of_two(hinted(tile.columns, hints), 1, schedule.tile)
    return max(schedule.tile // block, 1), block


def _variant(
    body: str, nest: Nest, rows: int, block: int, schedule: Schedule, when: str = "1", warps: int = 0, *,
    widest: bool = True,
) -> Variant:  # fmt: skip
    return Variant(body, nest.tile.grid(rows, block), {"ROWS": rows, "BLOCK": block}, when, warps or schedule.warps,
                   schedule.stages, widest=widest)  # fmt: skip
