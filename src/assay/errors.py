"""Every error that Assay raises on purpose.

An error says what happened, which value caused it, the rule that the value broke, what to do next and whose fault it
is. The command line turns the fault into an exit code; libraries only raise.
"""

from __future__ import annotations

from enum import Enum


class Fault(Enum):
    """Who has to act."""

    USER = "user"
    """The command or an argument is wrong."""
    TASK = "task"
    """The task file does not define a usable reference."""
    CANDIDATE = "candidate"
    """The candidate does not build, load or keep its contract."""
    MACHINE = "machine"
    """This machine lacks something that the request needs."""
    ASSAY = "assay"
    """A defect of Assay itself."""


class AssayError(Exception):
    """Base of all deliberate errors.

    Args:
        what: what happened, one sentence.
        value: the offending value, already shortened for display.
        rule: the rule that the value broke.
        next_step: what the person can do now.
    """

    fault: Fault = Fault.ASSAY

    def __init__(self, what: str, *, value: str = "", rule: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.value = value
        self.rule = rule
        self.next_step = next_step

    def __str__(self) -> str:
        parts = [self.what]
        if self.value:
            parts.append(f"got: {self.value}")
        if self.rule:
            parts.append(f"rule: {self.rule}")
        if self.next_step:
            parts.append(f"next: {self.next_step}")
        return "\n  ".join(parts)


class InputError(AssayError):
    """A wrong argument, path or option."""

    fault = Fault.USER


class TaskError(AssayError):
    """A task that cannot serve as a reference."""

    fault = Fault.TASK


class CandidateError(AssayError):
    """A candidate that does not build, load or answer."""

    fault = Fault.CANDIDATE


class MachineError(AssayError):
    """Something that this machine does not have."""

    fault = Fault.MACHINE


class InternalError(AssayError):
    """A defect of Assay; the message asks for a report."""

    fault = Fault.ASSAY
