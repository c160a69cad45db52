"""What networks are trained on, and when they hold: all patterns of one step, boards of several, one step at a time.

A batch of boards has, for one step, the loss of the 512 patches weighted by how often each occurs in it, with the same
gradient: 512 rows stand for any number of cells.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.life import bands, rules
from benchmarks.life.enumeration import enumerate_patches
from benchmarks.life.instances import Instances

DENSITY = 0.38
"""Of living cells on the boards of Springer and Kenyon (arXiv 2009.01398, section 4)."""
_NOISE = 0.05
"""What passes between steps is trained to be within so much of 0 and 1."""
_PATCHES = torch.from_numpy(rules.all_patches().reshape(512, 9).T.astype(np.float32))[None]
_TRUTH = torch.from_numpy(rules.TRUTH.astype(np.float32))


class Task(Protocol):
    """Something to learn. `loss` gives [instances] losses at a step, `holds` [instances] bools."""

    def loss(self, instances: Instances, step: int) -> Tensor: ...

    def holds(self, instances: Instances) -> Tensor: ...


class OneStep:
    """One step, by its 512 patches: evenly, or with `boards_seed` as often as they occur on random boards, 8 of 32x32 a
    batch. It holds where all 512 are right."""

    def __init__(self, boards_seed: int | None = None) -> None:
        self._rng = None if boards_seed is None else np.random.default_rng(boards_seed)
        self._shares = torch.full((512,), 1 / 512)

    def loss(self, instances: Instances, step: int) -> Tensor:
        if self._rng is not None:
            self._shares = shares(random_board(self._rng, 8 * 32 + 2, 34))
        return losses(self.logits(instances), _TRUTH) @ self._shares

    def holds(self, instances: Instances) -> Tensor:
        with torch.no_grad():
            return ((self.logits(instances) > 0) == (_TRUTH > 0)).all(1)

    @staticmethod
    def logits(instances: Instances) -> Tensor:
        """[instances, 512]"""
        return instances.last(instances.step(0, _PATCHES))


class Boards:
    """Several steps, by random boards of a density or, with None, of every density. It holds where `cells` cells of
    other boards are all right: the criterion of the study, which proves nothing."""

    def __init__(
        self, n: int, seed: int, density: float | None = DENSITY, side: int = 32, cells: int = 163_840
    ) -> None:
        self._n, self._side, self._density = n, side + 2 * n, density
        self._rng = np.random.default_rng(seed)
        tried = np.random.default_rng([seed, 1])
        rows = 128
        self._tried = [random_board(tried, rows + 2 * n, 128 + 2 * n) for _ in range(cells // (rows * 128))]

    def board(self) -> rules.Cells:
        density = self._rng.uniform(0.2, 0.65) if self._density is None else self._density
        return random_board(self._rng, self._side, self._side, density)

    def loss(self, instances: Instances, step: int) -> Tensor:
        board = self.board()
        return losses(instances.logits(_floats(board)), self._truth(board)).mean(1)

    def holds(self, instances: Instances) -> Tensor:
        right = torch.ones(instances.count, dtype=torch.bool)
        with torch.no_grad():
            for board in self._tried:
                right &= ((instances.logits(_floats(board)) > 0) == (self._truth(board) > 0)).all(1)
                if not right.any():
                    break
        return right

    def _truth(self, board: rules.Cells) -> Tensor:
        return _floats(rules.steps(board, self._n)).reshape(-1)


class Counterexamples(Boards):
    """Two steps of one instance, by boards on which patches stand that it was wrong on. It holds where all 2^25 are
    right; what is wrong, up to 500 of them, goes on the boards to come."""

    def __init__(self, seed: int, side: int) -> None:
        super().__init__(2, seed, None, side, cells=0)
        self._wrong: NDArray[np.int64] = np.zeros(0, np.int64)

    def board(self) -> rules.Cells:
        board = super().board()
        places = (self._side // 5) ** 2
        count = min(len(self._wrong), places // 2)
        chosen = rules.patches(self._rng.permutation(self._wrong)[:count], 5)
        for patch, place in zip(chosen, self._rng.choice(places, count, replace=False), strict=True):
            row, column = 5 * (place // (self._side // 5)), 5 * (place % (self._side // 5))
            board[row : row + 5, column : column + 5] = patch
        return board

    def holds(self, instances: Instances) -> Tensor:
        found = enumerate_patches(instances.network(0), examples=20_000)
        kept = min(len(found.examples), 500)
        self._wrong = np.concatenate([self._wrong, self._rng.choice(found.examples, kept, replace=False)])[-4000:]
        return torch.tensor([found.exact])


class StepByStep:
    """Several steps, each trained on its 512 patches to put the next generation into channel 0, which alone the step
    after reads: 0 for dead, 1 for alive, within a noise. It holds where bands.prove says so, for boards of any size."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._rng = n, torch.Generator().manual_seed(seed)

    def loss(self, instances: Instances, step: int) -> Tensor:
        total = torch.zeros(instances.count)
        for number in range(self._n):
            x = _PATCHES
            if number:
                noise = torch.empty(x.shape).uniform_(-_NOISE, _NOISE, generator=self._rng)
                alone = torch.zeros(1, instances.m, 9, 512)
                alone[:, 0] = (x + noise).clamp(min=0)
                x = alone.flatten(1, 2)
            if number == self._n - 1:
                return total + losses(instances.last(instances.step(number, x)), _TRUTH).mean(1)
            value = instances.before_last_relu(number, x)[:, 0]
            total = total + torch.where(_TRUTH > 0, value - 1, value.clamp(min=0)).square().mean(1)
        return total

    def holds(self, instances: Instances) -> Tensor:
        return torch.tensor([bands.prove(instances.network(i)).holds for i in range(instances.count)])

    def narrow(self, masks: list[Tensor]) -> list[Tensor]:
        """Masks without what leads to or from other channels than 0 between steps."""
        masks = [each.clone() for each in masks]
        for number in range(self._n - 1):
            for each in masks[4 * number + 2 : 4 * number + 4]:
                each[:, 1:] = False
            masks[4 * number + 4][:, :, 9:] = False
        return masks


def random_board(rng: np.random.Generator, height: int, width: int, density: float = DENSITY) -> rules.Cells:
    """Cells that are alive with a probability, each by itself."""
    return (rng.random((height, width)) < density).astype(np.uint8)


def shares(board: rules.Cells) -> Tensor:
    """How often each of the 512 patches occurs, as shares of all."""
    counts = np.bincount(rules.patch_numbers(board).reshape(-1), minlength=512)
    return torch.from_numpy((counts / counts.sum()).astype(np.float32))


def losses(logits: Tensor, truth: Tensor) -> Tensor:
    """The cross-entropy of every cell: [instances, cells], truth [cells]."""
    return F.binary_cross_entropy_with_logits(logits, truth.expand_as(logits), reduction="none")


def _floats(cells: rules.Cells) -> Tensor:
    return torch.from_numpy(cells.astype(np.float32))
