"""A device candidate's file: its launch plan as the docstring that opens it, and kernels below; no host code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assay.core.sources import Candidate, Language, SourceFile
from assay.engineer.triton.text import helpers
from assay.launch.plan import LaunchPlan, find_plan

FILE = "kernel.py"


@dataclass(frozen=True, slots=True)
class LaunchText:
    """One launch of a plan: expressions as text. `grid` is the number of programs."""

    kernel: str
    grid: str
    arguments: tuple[str, ...]
    constants: Mapping[str, int | float | bool] = field(default_factory=dict)
    when: str = "1"
    warps: int = 4
    stages: int = 3

    def toml(self) -> str:
        """Its table in the plan."""
        constants = ", ".join(f"{name} = {json.dumps(value)}" for name, value in self.constants.items())
        return "\n".join([
            "[[launch]]",
            f'kernel = "{self.kernel}"',
            *([f"when = {json.dumps(self.when)}"] if self.when != "1" else []),
            f"grid = [{json.dumps(self.grid)}]",
            f"arguments = {json.dumps(list(self.arguments))}",
            f"constants = {{ {constants} }}",
            f"num_warps = {self.warps}",
            f"num_stages = {self.stages}",
        ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class DeviceSource:
    """A file's text and its plan, which was read back from the text."""

    text: str
    plan: LaunchPlan

    def candidate(self, name: str) -> Candidate:
        """As something to be judged."""
        return Candidate(
            name, Language.TRITON, (SourceFile(FILE, self.text),), self.plan.kernels[0], proposer="codegen"
        )


def device_source(
    kernels: Sequence[str], launches: Sequence[LaunchText], sizes: Mapping[str, str], scratch: Mapping[str, str],
    types: Mapping[str, str],
) -> DeviceSource:  # fmt: skip
    """The file; `types` are the elements of pointers that are not to float32, by name.

    Raises CandidateError where the plan is none, too long a plan for example.
    """
    tables = []
    for title, table in (("sizes", sizes), ("scratch", scratch), ("types", types)):
        if table:
            tables.append("\n".join([f"[{title}]", *(f"{name} = {json.dumps(text)}" for name, text in table.items())]))
    plan = "\n\n".join([*tables, *(launch.toml() for launch in launches)])
    body = "\n\n".join(kernels)
    functions = [text for text in (helpers(body), body) if text]
    text = f'"""launch.toml\n{plan}\n"""\n\nimport triton\nimport triton.language as tl\n\n\n' + "\n\n".join(functions)
    return DeviceSource(text, find_plan([SourceFile(FILE, text)]))
