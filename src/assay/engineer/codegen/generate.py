"""A candidate from a graph and a schedule."""

from __future__ import annotations

import json
from collections.abc import Sequence

from assay.core.sources import Candidate, Language, SourceFile
from assay.engineer.codegen.emit import write
from assay.engineer.codegen.finish import Step, finished
from assay.engineer.codegen.fuse import fuse
from assay.engineer.codegen.group import grouped
from assay.engineer.codegen.lower import lower
from assay.engineer.codegen.program import Unsupported
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.graph import Graph

__all__ = ["Schedule", "Unsupported", "generate"]

_WITHOUT_BRANCHES = ("-fno-tree-pre",)
"""For kernels that choose between values. Looking for partial redundancies makes branches of choices: a softplus was no
vector, and took twenty times as long. A gelu, which chooses nothing, is 5 % faster with it."""

HEAD = "// schedule "
"""How a generated file begins: whoever finds it later can tell how it was made."""


def generate(graph: Graph, schedule: Schedule, name: str) -> Candidate:
    """C++ for the graph. Raises Unsupported where an operator has no generator."""
    program = lower(graph, keep=schedule.keep)
    fused = fuse(program, apart=schedule.apart)
    kernels: Sequence[Step] = finished(grouped(program, fused)) if schedule.group else fused
    text, headers = write(program, kernels, schedule)
    files = (
        SourceFile("kernel.cpp", f"{HEAD}{json.dumps(schedule.to_json())}\n{text}"),
        *(SourceFile(one.name, one.read_text()) for one in headers),
    )
    flags = schedule.flags + (_WITHOUT_BRANCHES if " ? " in text else ())
    return Candidate(name, Language.CPP, files, "assay_kernel", flags, proposer="codegen")
