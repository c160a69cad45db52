"""Whether two candidates are the same program, and how to write the same program in other bytes.

The fingerprint forgets comments, layout and the names of locals, so that a proposer that repeats itself costs nothing.
A knockoff goes the other way: it adds a comment, blank lines and a new name for one local.
Covered: C++ and Python text as written. Not covered: equal programs in different words (they are evaluated again), and
names of anything but plain locals. Unknown or unreadable text counts as it is.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from assay.core.identity import identity
from assay.core.sources import Candidate, SourceFile
from assay.search import cpp_text, python_text

PYTHON_SUFFIXES = frozenset({".py"})
CPP_SUFFIXES = frozenset({".cpp", ".cc", ".cxx", ".c", ".h", ".hpp", ".cu", ".cuh"})


def fingerprint(candidate: Candidate) -> str:
    """sha256 over what the candidate says, without how it is written."""
    return identity(
        {
            "language": candidate.language.value,
            "files": [{"path": file.path, "text": normal_form(file, candidate)} for file in candidate.files],
            "entry": candidate.entry,
            "flags": list(candidate.flags),
        }
    )


def normal_form(file: SourceFile, candidate: Candidate) -> str:
    """A text that is the same for files that differ in comments, layout or names of locals only."""
    suffix = PurePosixPath(file.path).suffix
    if suffix in PYTHON_SUFFIXES:
        return python_text.normal_form(file.text)
    if suffix in CPP_SUFFIXES:
        return cpp_text.normal_form(file.text, _names_elsewhere(file, candidate))
    return file.text


def can_knock_off(candidate: Candidate) -> bool:
    """Whether a file is C++ or Python. Without knockoffs a win could not be told from luck."""
    return any(PurePosixPath(file.path).suffix in PYTHON_SUFFIXES | CPP_SUFFIXES for file in candidate.files)


def knockoff(candidate: Candidate, number: int) -> Candidate:
    """The same program in other bytes, different for every number. Raises ValueError if no file is C++ or Python."""
    for index, file in enumerate(candidate.files):
        suffix = PurePosixPath(file.path).suffix
        if suffix in PYTHON_SUFFIXES:
            text = python_text.rename_one(file.text, number) + f"\n\n# Variant {number}.\n"
        elif suffix in CPP_SUFFIXES:
            text = (
                cpp_text.rename_one(file.text, number, _names_elsewhere(file, candidate))
                + f"\n\n// Variant {number}.\n"
            )
        else:
            continue
        files = (*candidate.files[:index], SourceFile(file.path, text), *candidate.files[index + 1 :])
        return replace(candidate, name=f"{candidate.name}-knockoff-{number}", files=files, parent=candidate.identity)
    raise ValueError(f"a knockoff needs a C++ or Python file, not {[file.path for file in candidate.files]}")


def _names_elsewhere(file: SourceFile, candidate: Candidate) -> frozenset[str]:
    """Names in a candidate's other files: a header's global or macro may share one with a local."""
    return frozenset().union(*(cpp_text.names_of(other.text) for other in candidate.files if other is not file))
