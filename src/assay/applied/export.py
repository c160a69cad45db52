"""A certified kernel as a package that installs without Assay: sources, guard, fallback, a test and the certificate."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.applied.exported import texts
from assay.archive.admission import check_admissible
from assay.build.cpp import PACKAGE_INCLUDE
from assay.build.flags import BASE
from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Language, Task, TaskFormat
from assay.core.tensors import TensorSpec
from assay.errors import InputError, MachineError
from assay.machine.survey import read_facts
from assay.referee.bench import Bench, Resources
from assay.referee.protocol.secret import Secret
from assay.referee.zygotes import Zygotes
from assay.report.certificate import certificate_bytes

_RUNTIME = Path(texts.__file__).with_name("runtime.py")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_FORMATS = (TaskFormat.BUILTIN, TaskFormat.PLAIN)


@dataclass(frozen=True, slots=True)
class _Layouts:
    """What the kernel was certified for."""

    inputs: tuple[TensorSpec, ...]
    weights: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    scalars: int
    axes: Mapping[str, int]
    training: bool


def export_package(certificate: Mapping[str, Any], folder: Path, name: str = "") -> Path:
    """Write the package of an accepted certificate to `folder`, which must not exist yet, and return that.

    `name` is the package's; the task's without one. The task is described in the sandbox, nothing of it is run here.
    Raises InputError for a certificate that does not accept or verify, for a candidate that is not C++, for a task of
    several files, a name that is none, and a folder that exists; MachineError where it cannot be written.
    """
    checked = check_admissible(certificate, "certificate").certificate
    candidate, task = Candidate.from_json(checked["candidate"]), Task.from_json(checked["task"])
    if candidate.language is not Language.CPP:
        raise InputError("only C++ kernels can be exported", value=candidate.language.value)
    if task.format not in _FORMATS or len(task.files) != 1:
        raise InputError("only tasks of one plain file can be exported", value=f"{task.name}: {task.format.value}")
    package = name or re.sub(r"\W+", "_", task.name.lower())
    if not _NAME.fullmatch(package):
        raise InputError("not a package name", value=package, rule="small letters, digits and _", next_step="--name")
    kind = task.entry.partition(":")[2]
    if not kind.isidentifier():
        raise InputError("the task names no class", value=task.entry[:80])
    if folder.exists():
        raise InputError("the folder exists already", value=str(folder), next_step="name a new one")
    layouts = _described(task)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".exporting-") as temporary:
            made = Path(temporary) / "package"
            _write(made, package, checked, candidate, task, layouts)
            made.rename(folder)
    except OSError as error:
        raise MachineError("the package cannot be written", value=f"{folder}: {error.strerror or error}") from error
    return folder


def _described(task: Task) -> _Layouts:
    config = JudgeConfig()
    resources = Resources.of(config, read_facts())
    with Zygotes(resources.threads) as zygotes, Bench(task, config, resources, zygotes, Secret()) as bench:
        timed, declared = bench.timed, bench.declaration
        return _Layouts(timed.inputs.specs, declared.weights, timed.outputs, len(timed.scalars), dict(timed.axes),
                        declared.mode == "train")  # fmt: skip


def _write(
    folder: Path, package: str, certificate: Mapping[str, Any], candidate: Candidate, task: Task, layouts: _Layouts
) -> None:
    inside = folder / package
    native = inside / "native"
    native.mkdir(parents=True)
    for file in candidate.files:
        path = native / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.text)
    shutil.copytree(PACKAGE_INCLUDE / "assay", native / "assay")
    (inside / "reference.py").write_text(task.files[0].text)
    shutil.copyfile(_RUNTIME, inside / "runtime.py")
    about = {
        "entry": candidate.entry,
        "flags": [*BASE, *candidate.flags],
        "threads": int(certificate["config"]["threads"]) or int(certificate["machine"]["cores"]),
        "scalars": layouts.scalars,
        **{part: [_layout(spec) for spec in getattr(layouts, part)] for part in ("inputs", "weights", "outputs")},
    }
    (inside / "kernel.json").write_text(json.dumps(about, indent=1) + "\n")
    (inside / "certificate.json").write_bytes(certificate_bytes(certificate))
    facts = {
        "package": package,
        "kind": task.entry.partition(":")[2],
        "task": re.sub(r"[^\w .+-]", "_", task.name)[:80],
        "axes": dict(layouts.axes),
        "ready": "" if layouts.training else ".eval()",
        "speedup": certificate["speedup"],
        "baseline": certificate["baseline"]["variant"],
        "cpu": certificate["machine"]["cpu_model"],
        "identity": certificate["identity"],
    }
    (inside / "__init__.py").write_text(texts.INIT.format(**facts))
    (folder / "pyproject.toml").write_text(texts.PYPROJECT.format(**facts))
    (folder / "README.md").write_text(texts.README.format(**facts))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_kernel.py").write_text(texts.TEST.format(**facts))


def _layout(spec: TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype.value, "shape": list(spec.shape), "stride": list(spec.strides)}
