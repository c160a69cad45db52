"""Plain words for the names that certificates use: isolation layers, tiers, input families, shapes."""

from __future__ import annotations

from collections.abc import Mapping

LAYERS: dict[str, str] = {
    "namespace:pid": "its own process table",
    "namespace:mount": "its own mounts",
    "namespace:net": "no network",
    "namespace:ipc": "its own queues and shared memory",
    "namespace:uts": "its own host name",
    "minimal-root": "a read-only root with only what it needs",
    "private-scratch": "private folders for temporary files, gone when it ends",
    "private-proc": "a private /proc",
    "distinct-uid": "a user of its own",
    "no-capabilities": "no capabilities",
    "no-new-privileges": "no set-uid gains",
    "landlock": "a second lock on files (Landlock)",
    "dies-with-referee": "ends when the referee ends",
    "limits": "bounds on memory, files and processes",
    "seccomp": "a filter on system calls",
}
"""What each of `assay.sandbox.confine.ALL_LAYERS` means to somebody who has never heard of it."""

TIERS: dict[str, str] = {
    "sealed": "every layer held: no other process, file, network or privilege was in reach",
    "confined": "processes, files and system calls were out of reach; a second lock is missing",
    "open": "the candidate could reach the referee's files or processes: trust this only for code that you trust",
}

FAMILIES: dict[str, str] = {
    "own": "the task's own distribution",
    "large": "values 16 times as large",
    "small": "values about a thousandth",
    "negated": "every sign turned",
    "shifted": "shifted by 8",
    "sparse": "nine of ten values zero",
    "ties": "rounded, so that values repeat",
    "rows": "each row at its own scale",
    "integers": "small whole numbers",
}

WEIGHTS: dict[str, str] = {"fatal": "rejects", "doubt": "forbids acceptance", "note": "for information"}

FAULTS: dict[str, str] = {
    "user": "the command or a setting is at fault",
    "task": "the task is at fault",
    "candidate": "the candidate is at fault",
    "machine": "the machine is at fault",
    "assay": "a defect of Assay",
}

VERDICTS: dict[str, str] = {
    "ACCEPT": "right on everything tried, and faster by more than this run could fake",
    "REJECT": "wrong, broken, cheating, or provably not faster",
    "INCONCLUSIVE": "the evidence does not decide",
}


def shape_text(axes: Mapping[str, int]) -> str:
    """`rows=1, cols=31`, or words for a task without axes."""
    return ", ".join(f"{name}={size}" for name, size in axes.items()) or "the only size"
