"""Input families: secret changes to a task's own inputs under which planted bugs and shortcuts show.

Each bug class that survives a single distribution has a family that shows it: ReLU as identity survives `rand` but not
`negated`; a missing epsilon survives unit variance but not `small`; one row's statistic used for all survives equal
rows but not `rows`; a wrong tie-break survives continuous values but not `ties`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OWN = "own"
"""The task's own distribution, unchanged: the only family whose times are compared."""


def _large(torch: Any, x: Any) -> Any:
    return x * 64.0  # randn peaks near 330, where exp overflows without the usual precaution


def _small(torch: Any, x: Any) -> Any:
    return x * 2.0**-10


def _negated(torch: Any, x: Any) -> Any:
    return -x


def _shifted(torch: Any, x: Any) -> Any:
    far = (8.0, -8.0, 128.0, -128.0)
    return x + far[int(torch.randint(0, 4, ()))]


def _deep(torch: Any, x: Any) -> Any:
    """Below every number that stands in for minus infinity; 256 apart, so that eight bits of `x` are left."""
    return x * 2.0**16 - 2.0**31


def _sparse(torch: Any, x: Any) -> Any:
    return x * (torch.rand(x.shape) < 0.1).to(x.dtype)


def _blank(torch: Any, x: Any) -> Any:
    """A quarter of the rows all zero: nothing to divide by, and all of it equal."""
    shape = (*x.shape[:-1], 1) if x.ndim > 1 else x.shape
    return x * (torch.rand(shape) < 0.75).to(x.dtype)


def _ties(torch: Any, x: Any) -> Any:
    return torch.round(x * 2.0) / 2.0


def _rows(torch: Any, x: Any) -> Any:
    """Every row (all but the last dimension) at its own scale and with its own offset."""
    shape = (*x.shape[:-1], 1) if x.ndim > 1 else x.shape
    scale = torch.exp2(torch.randint(-6, 4, shape).to(x.dtype))
    return x * scale + torch.randn(shape).to(x.dtype)


def _integers(torch: Any, x: Any) -> Any:
    return torch.randint(-4, 5, x.shape).to(x.dtype)


def _row_scales(torch: Any, x: Any) -> Any:
    shape = (*x.shape[:-1], 1) if x.ndim > 1 else x.shape
    return x * torch.exp2(torch.randint(-6, 4, shape).to(x.dtype))


def _up_to_eighths(torch: Any, x: Any) -> Any:
    return torch.ceil(x * 8.0) / 8.0


def _low(torch: Any, x: Any) -> Any:
    return x**4


Transform = Callable[[Any, Any], Any]

BY_DOMAIN: dict[str, dict[str, Transform]] = {
    "real": {
        "large": _large,
        "small": _small,
        "negated": _negated,
        "shifted": _shifted,
        "deep": _deep,
        "sparse": _sparse,
        "blank": _blank,
        "ties": _ties,
        "rows": _rows,
        "integers": _integers,
    },
    "positive": {"large": _large, "small": _small, "rows": _row_scales, "ties": _up_to_eighths},
    "unit": {"sparse": _sparse, "ties": _up_to_eighths, "small": _low},
    "fixed": {},
}
"""For each domain that a task may declare (docs/task-format.md), the families that stay inside it."""


def names(domains: set[str]) -> list[str]:
    """The families that change at least one input of these domains, `OWN` first."""
    found = [name for domain in sorted(domains) for name in BY_DOMAIN[domain]]
    return [OWN, *dict.fromkeys(found)]


def transform(torch: Any, tensor: Any, domain: str, family: str) -> Any:
    """The tensor under a family; unchanged where the family does not apply to its domain or type."""
    change = BY_DOMAIN[domain].get(family)
    if change is None or not tensor.is_floating_point():
        return tensor
    return (
        change(torch, tensor).to(tensor.dtype).contiguous()
        if tensor.is_contiguous()
        else _in_place(torch, tensor, change)
    )


def _in_place(torch: Any, tensor: Any, change: Transform) -> Any:
    """Keep a non-contiguous tensor's strides: transform its values, copy them into the same layout."""
    out = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return out.copy_(change(torch, tensor))
