"""The second kind of claim, "as good and cheaper": quality within a margin, and cost, judged from model folders.

Names load on first use: they need torch, which takes seconds to import, and most verbs never call them.
"""

from __future__ import annotations

from assay.core.lazy_names import lazy_names

_HOMES = {
    "judge_model": "assay.claims.judging",
    "publish_claim": "assay.claims.publish",
    "replay_claim": "assay.claims.replay",
}

__all__ = [*_HOMES]
__getattr__, __dir__ = lazy_names(__name__, _HOMES)
