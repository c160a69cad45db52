"""The second kind of claim, "as good and cheaper": quality within a margin, and cost, judged from model folders.

Names load on first use: they need torch, which takes seconds to import, and most verbs never call them.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "judge_model": "assay.claims.judging",
    "publish_claim": "assay.claims.publish",
    "replay_claim": "assay.claims.replay",
}

__all__ = [*_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
