"""What a language model is told, and how its answer is read."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from assay.build.cpp import PACKAGE_INCLUDE
from assay.core.sources import Task
from assay.engineer.codegen.schedule import CHOICES, Schedule
from assay.engineer.language.endpoint import Message
from assay.errors import InputError
from assay.machine.facts import MachineFacts
from assay.search import Known, Request

_SOURCE_CHARACTERS, _WORDS_CHARACTERS = 12_000, 1_500
"""Of a source and of the referee's words: a prompt costs money for every candidate."""
_FENCED = re.compile(r"```[a-zA-Z+]*[ \t]*\n(.*?)```", re.DOTALL)
_ENTRY = "assay_kernel"

_RULES = """You write fast C++ kernels for CPUs. Answer with one complete C++17 file in one fenced block and nothing
else. It defines `extern "C" int assay_kernel(const assay_call* call)` and includes <assay/kernel.h> (below)
and the standard library, <immintrin.h> and <omp.h> only. It is compiled with -O3 -march=native -fopenmp. It
must be right for every shape that the task's axes allow and write every element of every output; results
are compared with a float64 oracle, with an error budget of a few roundings. It uses call->n_threads threads
at most, keeps nothing between calls but scratch memory, and reads and writes nothing else."""


def kernel_messages(request: Request, task: Task, facts: MachineFacts, example: str) -> list[Message]:
    """The question for a whole kernel; `example` is a certified kernel for a similar task, or empty."""
    parts = [
        f"The machine: {facts.cpu_model}, {facts.cores} cores, {', '.join(facts.isa)}.",
        "The task, in PyTorch:\n```python\n" + _cut(task.files[0].text) + "\n```",
        "kernel.h:\n```cpp\n" + (PACKAGE_INCLUDE / "assay" / "kernel.h").read_text() + "\n```",
    ]
    if example:
        parts.append("A certified kernel for a similar task:\n```cpp\n" + _cut(example) + "\n```")
    parts += [_known("The best so far", request.best)] if request.best else []
    parts += [_known(f"Parent {n}", parent) for n, parent in enumerate(request.parents, 1) if parent != request.best]
    parts.append({0: "Write a kernel.", 1: "Write a better version of the parent.", 2: "Combine the parents."}[
        min(len(request.parents), 2)])  # fmt: skip
    return [{"role": "system", "content": _RULES}, {"role": "user", "content": "\n\n".join(parts)}]


def read_kernel(text: str) -> str:
    """The C++ of an answer: the longest fenced block with the entry, or the whole answer where it is plain code.

    Raises InputError for an answer without a kernel.
    """
    blocks = [block for block in _FENCED.findall(text) if _ENTRY in block]
    if blocks:
        return str(max(blocks, key=len))
    if _ENTRY in text and "```" not in text and "#include" in text:
        return text
    raise InputError("the answer holds no kernel", value=text.strip()[:120], rule=f"a fenced block with {_ENTRY}")


def schedule_messages(request: Request, task: Task) -> list[Message]:
    """The question for a choice among the generator's schedules, which a small model can answer too."""
    tried = [*request.parents, *([request.best] if request.best else [])]
    lines = [f"{_head(known)}: {_score(known)}" for known in tried]
    system = "You tune a generated CPU kernel. Answer with one JSON object that chooses a value for every parameter."
    user = f"Task {task.name}. Parameters: {json.dumps({name: list(values) for name, values in CHOICES.items()})}."
    if lines:
        user += " Tried so far:\n" + "\n".join(lines)
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def schedule_schema() -> dict[str, Any]:
    """The JSON schema of a schedule."""
    properties = {name: {"enum": list(values)} for name, values in CHOICES.items()}
    return {"type": "object", "properties": properties, "required": list(CHOICES), "additionalProperties": False}


def read_schedule(text: str) -> Schedule:
    """The schedule of an answer; what it leaves out is as usual. Raises InputError for anything else."""
    found = re.search(r"\{.*\}", text, re.DOTALL)
    try:
        data = json.loads(found[0]) if found else None
        if not isinstance(data, Mapping):
            raise ValueError("no JSON object")
        return Schedule.from_json(Schedule().to_json() | {name: data[name] for name in CHOICES if name in data})
    except (ValueError, TypeError) as error:
        raise InputError("the answer is no schedule", value=text.strip()[:120], rule=str(error)[:200]) from error


def _known(title: str, known: Known) -> str:
    source = known.idea.candidate.files[0].text
    return f"{title} ({_score(known)}):\n```cpp\n{_cut(source)}\n```"


def _head(known: Known) -> str:
    return known.idea.candidate.files[0].text.partition("\n")[0][:300]


def _score(known: Known) -> str:
    return known.evaluation.words[:_WORDS_CHARACTERS] or "no words"


def _cut(text: str) -> str:
    return text if len(text) <= _SOURCE_CHARACTERS else text[:_SOURCE_CHARACTERS] + "\n// cut here"
