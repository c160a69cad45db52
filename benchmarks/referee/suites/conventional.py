"""The yardstick judge on the same attacks, planted bugs and honest kernels, and on the reference against itself."""

from __future__ import annotations

import json
import math
import os
import select
from collections.abc import Iterable
from typing import Any

from assay.build.cpp import CppBuilder
from assay.core.sources import Candidate, Task
from assay.errors import AssayError
from assay.machine.survey import read_facts
from assay.sandbox.memfd import write_all
from assay.sandbox.spawn import Zygote
from benchmarks.referee import cases, conventional
from benchmarks.referee.cases import Case
from benchmarks.referee.results import ROOT, Record
from benchmarks.referee.suite import Context, Suite
from benchmarks.referee.suites.a_a import small_task
from benchmarks.referee.synthetic import same_as_reference

_TIMEOUT_S = 90.0
_MEMORY_BYTES = 8 << 30
_SAME_RUNS = 100
_PACKET_BYTES = 64 << 10


class ConventionalJudge:
    """Starts a confined child for each case and believes what it reports. A context manager."""

    def __init__(self) -> None:
        self._threads = read_facts().cores
        self._builder = CppBuilder()
        self._zygote = Zygote(
            ["torch", "numpy", conventional.__name__], threads=self._threads, visible=[str(ROOT / "benchmarks")],
            import_path=[str(ROOT)],
        )  # fmt: skip

    def judge(self, task: Task, candidate: Candidate) -> dict[str, Any]:
        """The child's own report; death, silence and nonsense are rejections."""
        try:
            native = candidate.language.value == "cpp"
            artifact = self._builder.build(candidate).content.hex() if native else ""
        except AssayError as error:
            return _rejected(f"does not build: {error.what}")
        sources = {"task": task.to_json(), "candidate": candidate.to_json()}
        raw = json.dumps({**sources, "artifact": artifact, "threads": self._threads}).encode()
        block = os.memfd_create("conventional-payload", os.MFD_CLOEXEC)
        try:
            write_all(block, raw)
            child = self._zygote.spawn(
                f"{conventional.__name__}:main", {"payload_bytes": len(raw)}, [block],
                memory_bytes=_MEMORY_BYTES, may_create_processes=True,
            )  # fmt: skip
        finally:
            os.close(block)
        try:
            ready, _, _ = select.select([child.channel], [], [], _TIMEOUT_S)
            packet = child.channel.recv(_PACKET_BYTES) if ready else b""
        except OSError:
            packet, ready = b"", []
        finally:
            child.kill()
        return _believed(packet) if packet else _rejected("it died" if ready else "no answer in time")

    def close(self) -> None:
        """End every process."""
        self._zygote.close()
        self._builder.close()

    def __enter__(self) -> ConventionalJudge:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _believed(packet: bytes) -> dict[str, Any]:
    try:
        report = json.loads(packet)
        right = {name: bool(report["right"][name]) for name in conventional.TOLERANCES}
        speedup = report["speedup"]
        known = isinstance(speedup, (int, float)) and math.isfinite(speedup)
        return {"right": right, "speedup": float(speedup) if known else None, "why": str(report.get("why", ""))[:300]}
    except (ValueError, KeyError, TypeError) as error:
        return _rejected(f"a report that is none: {type(error).__name__}")


def _rejected(why: str) -> dict[str, Any]:
    return {"right": dict.fromkeys(conventional.TOLERANCES, False), "speedup": None, "why": why[:300]}


def run(context: Context, record: Record) -> None:
    """Attacks, mutants with their controls, honest kernels, then the reference against itself."""
    sets: dict[str, list[Case]] = {
        "exploits": context.some(cases.exploits(), 3),
        "mutants": context.some(cases.mutants(), 4),
        "controls": context.some(cases.kernels(), 2),
        "honest": context.some(cases.honest(), 3),
    }
    same = context.pick(_SAME_RUNS, 2)
    record.total = sum(map(len, sets.values())) + same
    with ConventionalJudge() as judge:
        for kind, members in sets.items():
            _judge_all(judge, kind, members, record)
        task = small_task("softmax")
        candidate = same_as_reference(task)
        for index in range(same):
            if not record.has(f"a_a/{index}"):
                found = judge.judge(task, candidate)
                record.add({"name": f"a_a/{index}", "kind": "a_a", **found}, _words(found))


def _judge_all(judge: ConventionalJudge, kind: str, members: Iterable[Case], record: Record) -> None:
    for case in members:
        name = f"{kind}/{case.name}"
        if record.has(name):
            continue
        try:
            found = judge.judge(case.task, case.candidate)
        except (AssayError, OSError, ValueError) as error:
            found = _rejected(f"the judge failed: {type(error).__name__}: {error}")
        record.add({**case.to_json(), "name": name, "kind": kind, **found}, _words(found))


def _words(found: dict[str, Any]) -> str:
    right = ", ".join(name for name, ok in found["right"].items() if ok) or "nothing"
    speedup = f"{found['speedup']:.2f}x" if found["speedup"] else "no time"
    return f"right at {right}; {speedup} {found['why'][:100]}"


SUITE = Suite(
    "conventional", run, 15,
    {"tolerances": list(conventional.TOLERANCES), "seeds": len(conventional.SEEDS), "calls": conventional.CALLS,
     "same_runs": _SAME_RUNS, "timeout_s": _TIMEOUT_S},
)  # fmt: skip
