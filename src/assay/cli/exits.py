"""Exit codes: one for each thing that a script may want to tell apart."""

from __future__ import annotations

from enum import IntEnum

from assay.core.verdicts import Verdict
from assay.errors import Fault


class Exit(IntEnum):
    """What the process returns."""

    ACCEPTED = 0
    """The candidate is right and faster; for other verbs: all is well."""
    REJECTED = 1
    """The candidate failed or is not faster; `verify`: the certificate does not hold; `audit`: degenerate;
    `archive import`: something was refused."""
    BAD_INPUT = 2
    """A wrong argument, an unusable task, an unreadable candidate or certificate."""
    INCONCLUSIVE = 3
    """The evidence does not decide."""
    MACHINE = 4
    """This machine lacks something."""
    OWN_FAULT = 70
    """A defect of Assay (EX_SOFTWARE of sysexits.h)."""
    INTERRUPTED = 130
    """Ended from the keyboard, as shells report it."""


BY_VERDICT = {
    Verdict.ACCEPT: Exit.ACCEPTED,
    Verdict.REJECT: Exit.REJECTED,
    Verdict.INCONCLUSIVE: Exit.INCONCLUSIVE,
}

BY_FAULT = {
    Fault.USER: Exit.BAD_INPUT,
    Fault.TASK: Exit.BAD_INPUT,
    Fault.CANDIDATE: Exit.BAD_INPUT,
    Fault.MACHINE: Exit.MACHINE,
    Fault.ASSAY: Exit.OWN_FAULT,
}
