"""Conway's Game of Life on bits: the truth that networks are held against.

A patch of side 2n+1 holds everything that its centre depends on after n steps. Patches are numbered by their bits, row
by row from the top left cell, the lowest bit first: 512 for one step, 2^25 for two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Cells = NDArray[np.uint8]
"""Dead 0, alive 1; the last two axes are rows and columns."""


def step(cells: Cells) -> Cells:
    """The next generation of all cells that have eight neighbours: [..., h, w] to [..., h-2, w-2]."""
    rows = cells[..., :-2, :] + cells[..., 1:-1, :] + cells[..., 2:, :]
    of_nine = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    found: Cells = ((of_nine == 3) | ((of_nine == 4) & (cells[..., 1:-1, 1:-1] == 1))).astype(np.uint8)
    return found


def steps(cells: Cells, count: int) -> Cells:
    """`count` generations later: [..., h, w] to [..., h - 2 count, w - 2 count]."""
    for _ in range(count):
        cells = step(cells)
    return cells


def torus_step(board: Cells) -> Cells:
    """The next generation of a board whose opposite edges adjoin."""
    return step(np.pad(board, 1, mode="wrap"))


def patches(numbers: NDArray[Any], side: int) -> Cells:
    """The patches of these numbers: [count] to [count, side, side]."""
    bits = np.asarray(numbers, dtype=np.int64)[:, None] >> np.arange(side * side)
    return (bits & 1).astype(np.uint8).reshape(-1, side, side)


def all_patches() -> Cells:
    """The 512 patches that one step depends on."""
    return patches(np.arange(512), 3)


def patch_numbers(cells: Cells) -> NDArray[np.int64]:
    """For every cell with eight neighbours, which of the 512 patches it lies in: [h, w] to [h-2, w-2]."""
    height, width = cells.shape[0] - 2, cells.shape[1] - 2
    wide, found = cells.astype(np.int64), np.zeros((height, width), np.int64)
    for row in range(3):
        for column in range(3):
            found |= wide[row : row + height, column : column + width] << (3 * row + column)
    return found


TRUTH = step(all_patches()).reshape(512)
"""What becomes of the centre of each of the 512 patches."""
