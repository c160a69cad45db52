"""Inputs that are hard on kernels, and when a kernel's result is the exact one."""

import math

import torch

UNIT = 2.0**-24
"""Half a unit in the last place of float32, in which everything is computed."""
ROUNDING = {torch.float32: UNIT, torch.float16: 2.0**-11, torch.bfloat16: 2.0**-8, torch.float64: 2.0**-53}
"""Of what is stored, relative."""
SMALLEST = {torch.float32: 2.0**-149, torch.float16: 2.0**-24, torch.bfloat16: 2.0**-133, torch.float64: 0.0}


def drawn(*shape, dtype=torch.float32, seed=0, spread=True):
    """Normal numbers; with `spread`, rows of different sizes, one far from zero, ties, and zeros of both signs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=generator)
    if spread and x.dim() > 1 and x.numel():
        rows = x.view(-1, x.shape[-1])
        rows *= 10.0 ** torch.randint(-3, 3, (rows.shape[0], 1), generator=generator)
        rows[-1] = rows[-1] / max(1.0, float(rows[-1].abs().max())) + 30
        rows[0, rows.shape[1] // 2 :] = rows[0, rows.shape[1] // 2].clone()
        rows[rows.shape[0] // 2, 0] = -0.0
    return x.to(dtype)


def sum_rounds(count):
    """Roundings that an element of a sum meets: a tree's depth, and some tiles one after the other."""
    return 2 * math.log2(max(count, 2)) + 4


def agree(found, exact, size=None, rounds=4.0):
    """Within `rounds` roundings of float32 at `size` (by default the result's), and the rounding of what is stored.

    `size` is how large the numbers were that the result was made of, by element: a sum of x has sum |x|.
    """
    assert found.shape == exact.shape
    size = exact.abs() if size is None else size
    allowed = ROUNDING[found.dtype] * 1.01 * exact.abs() + rounds * UNIT * size + SMALLEST[found.dtype]
    wrong = (found.double() - exact).abs()
    overflown = exact.to(found.dtype).isinf() & (found.double() == exact.to(found.dtype).double())
    same = overflown | (found.double() == exact) | (found.isnan() & exact.isnan())
    over = torch.where(same, torch.zeros_like(wrong), wrong / allowed)
    over = torch.where(torch.isnan(over), torch.full_like(over, math.inf), over)
    assert not over.numel() or float(over.max()) <= 1, f"{float(over.max()):.3g} times what is allowed"
