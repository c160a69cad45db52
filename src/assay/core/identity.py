"""Identity: the sha256 of canonical JSON. Two things are the same if and only if every field is."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical_json(data: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8, no NaN or infinity (raises ValueError for them)."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def identity(data: Any) -> str:
    """The sha256 of `data` as canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(data)).hexdigest()
