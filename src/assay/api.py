"""The verbs for Python: what the command line does, as functions that return values and raise `AssayError`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.applied.model import Applied, apply_certificates
from assay.applied.training import TrainingStep
from assay.applied.training import apply_to_training as step_by_certificates
from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.engineer.model import choose_parts, optimize_parts
from assay.engineer.optimize import OptimizeConfig
from assay.engineer.publishing import certificates_of, publish_part
from assay.referee.bench import Progress
from assay.referee.correctness.audit import Audit
from assay.referee.judge import Referee, silent
from assay.referee.judgement import Judgement
from assay.report.certificate import read_certificate
from assay.report.replay import Replay, replay
from assay.tasks.candidates import load_candidate
from assay.tasks.load import load_task


def judge(
    task: Task | str | Path,
    candidate: Candidate | str | Path,
    *,
    config: JudgeConfig | None = None,
    progress: Progress = silent,
) -> Judgement:
    """Is this candidate right, and is it really faster?

    Args:
        task: a loaded task, or what `load_task` accepts.
        candidate: a loaded candidate, or what `load_candidate` accepts.
        config: settings; the defaults give a full verdict.
        progress: called with what is being done and the share of it that is done.

    For many candidates hold one `Referee` and call its `judge`: it keeps the sandbox and each task's preparation.
    Raises TaskError, MachineError or InputError; a bad candidate is a verdict, not an exception.
    """
    with Referee(config) as referee:
        return referee.judge(_task(task), _candidate(candidate), progress)


def audit(task: Task | str | Path, *, config: JudgeConfig | None = None, progress: Progress = silent) -> Audit:
    """Would a trivial answer pass this task? Raises as `judge` does."""
    with Referee(config) as referee:
        return referee.audit(_task(task), progress)


def verify(certificate: Mapping[str, Any] | str | Path, *, progress: Progress = silent) -> Replay:
    """Run somebody's claim again, here: its signature, its sources, and the whole judgement with new secrets.

    Raises InputError for a file that is no certificate, and as `judge` does.
    """
    return replay(_certificate(certificate), progress)


@dataclass(frozen=True, slots=True)
class OptimizedModel:
    """What came of a model's parts: the accepted certificates, what each part was, and why others were left out.

    `parts` has for each part its places, its share of the model's time, and its speedup's interval or None.
    """

    certificates: tuple[dict[str, Any], ...]
    parts: tuple[dict[str, Any], ...]
    left_out: Mapping[str, str]


def optimize(
    module: Any,
    example_inputs: Sequence[Any],
    *,
    budget_s: float = 300.0,
    runs: str | Path = "runs",
    baseline: str = "best",
    archive: str = "",
    progress: Progress = silent,
) -> OptimizedModel:
    """Find certified faster kernels for a module's parts; `apply` puts them into it.

    Args:
        module: an nn.Module in eval mode, on the CPU.
        example_inputs: positional; kernels are certified for exactly these shapes.
        budget_s: seconds in all, shared by the parts' shares of the time.
        runs: where searches and certificates are written.
        baseline: what to beat.
        archive: where certified kernels are looked up and kept, a path or URL; empty for nowhere.
        progress: called with what is being done and the share of it that is done.

    Raises InputError where no part of the module has a graph with generators, TaskError and MachineError as `judge`.
    """
    parts = choose_parts(module, example_inputs)
    config = OptimizeConfig(budget_s=budget_s, baseline=baseline, archive=archive)
    outcomes = [
        publish_part(part, found, folder, Path(runs), archive)
        for part, found, folder in optimize_parts(parts, config, Path(runs), progress)
    ]
    table = tuple(one.part.to_json(one.found) for one in outcomes)
    return OptimizedModel(tuple(certificates_of(outcomes)), table, parts.left_out)


def apply(model: Any, certificates: Iterable[Mapping[str, Any] | str | Path], example_inputs: Sequence[Any]) -> Applied:
    """Give `model`, in place, the certified kernels of its parts; what it returns counts their calls.

    `certificates` are certificates or their files.

    A kernel serves where type, shape, layout and device are those that it was certified for and no gradient is wanted;
    the original serves otherwise. Raises InputError for a certificate that does not accept or verify.
    """
    return apply_certificates(model, [_certificate(one) for one in certificates], example_inputs)


def apply_to_training(
    model: Any, optimizer: Any, loss: Callable[..., Any], certificates: Iterable[Mapping[str, Any] | str | Path],
    batch: Sequence[Any],
) -> TrainingStep:  # fmt: skip
    """A training step by certified kernels: call it with a batch, and it returns the loss (docs/training.md).

    Args:
        model, optimizer: trained in place.
        loss: `loss(model, *batch)` gives a scalar tensor.
        certificates: of `assay optimize FILE.py --train`, or their files.
        batch: one, of the layout that the kernels were certified for.

    Raises InputError for a certificate that does not accept or verify, and where none is about this step's gradients.
    """
    return step_by_certificates(model, optimizer, loss, [_certificate(c) for c in certificates], batch)


def _certificate(certificate: Mapping[str, Any] | str | Path) -> Mapping[str, Any]:
    return certificate if isinstance(certificate, Mapping) else read_certificate(Path(certificate))


def _task(task: Task | str | Path) -> Task:
    return task if isinstance(task, Task) else load_task(task)


def _candidate(candidate: Candidate | str | Path) -> Candidate:
    return candidate if isinstance(candidate, Candidate) else load_candidate(candidate)
