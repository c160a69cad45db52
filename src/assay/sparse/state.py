"""What layers of this package ask of a state dict before they read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERSION = 1
"""Of the layers' state dicts: one number for all of them."""


def is_readable(prefix: str, local_metadata: Mapping[str, Any], error_msgs: list[str]) -> bool:
    """Whether a layer's part of a state dict is of a version that is known; appends the reason where it is not."""
    version = local_metadata.get("version") or VERSION
    if version > VERSION:
        error_msgs.append(f"{prefix}values: written by a newer Assay (version {version}, this one reads {VERSION})")
        return False
    return True
