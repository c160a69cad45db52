"""How parameters lie in flat memory: one after the other, each from a cache line's beginning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_ALIGNED = 16
"""Floats: 64 bytes."""


def flat_size(tensors: Sequence[Any]) -> int:
    """Elements that all of them take."""
    return sum(map(_taken, tensors))


def views_of(flat: Any, tensors: Sequence[Any]) -> list[Any]:
    """The part of the flat tensor that is each one's, in its shape."""
    views, at = [], 0
    for tensor in tensors:
        views.append(flat[at : at + tensor.numel()].view(tensor.shape))
        at += _taken(tensor)
    return views


def _taken(tensor: Any) -> int:
    return int(-(-tensor.numel() // _ALIGNED) * _ALIGNED)
