"""Assay makes AI models cheaper to run and to train, and proves it.

    import assay

    task = assay.load_task("softmax")
    judgement = assay.judge(task, "examples/softmax.cpp")
    print(judgement.verdict, judgement.speedup)

Names load on first use: sandboxed processes import this package too, and must not pay for what they never call.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "load_task": "assay.tasks.load",
    "list_tasks": "assay.tasks.listing",
    "load_candidate": "assay.tasks.candidates",
    "judge": "assay.api",
    "audit": "assay.api",
    "verify": "assay.api",
    "optimize": "assay.api",
    "judge_model": "assay.claims.judging",
    "compress_training": "assay.compress.run",
    "prune": "assay.pruning.model",
    "apply": "assay.api",
    "apply_to_training": "assay.api",
    "Referee": "assay.referee.judge",
    "JudgeConfig": "assay.core.config",
    "Depth": "assay.core.config",
    "Verdict": "assay.core.verdicts",
    "AssayError": "assay.errors",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'assay' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
