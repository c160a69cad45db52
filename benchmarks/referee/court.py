"""A Referee in a process of its own, so that whatever an attack does to it is one recorded result and not the end.

It answers in JSON; where it dies or says nothing in time it is ended and a new one is started for the next case. It is
renewed after some tasks too, because a Referee keeps a prepared bench for each task that it has seen.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import traceback
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from assay.core.config import JudgeConfig
from assay.core.sources import Candidate, Task
from assay.errors import AssayError
from assay.referee.judge import Referee
from assay.referee.judgement import Judgement
from assay.sandbox.policy import FIRST_UID, LAST_UID

_TASKS_A_REFEREE = 8
"""A prepared bench is an oracle process and its memory; eight of the builtin tasks hold about 2 GB."""
_MESSAGE_CHARACTERS = 400


class Court:
    """Judges through a Referee that may be lost. A context manager."""

    def __init__(self, config: JudgeConfig, timeout_s: float) -> None:
        self._config, self._timeout_s = config, timeout_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self._tasks: set[str] = set()

    def judge(self, task: Task, candidate: Candidate, threads: int = 0) -> dict[str, Any]:
        """The judgement as JSON (see `brief`), or {"error": ...} where the referee itself failed."""
        if task.identity not in self._tasks and len(self._tasks) >= _TASKS_A_REFEREE:
            self.close()
        if threads != self._config.threads:
            self.close()
            self._config = replace(self._config, threads=threads)
        if self._process is None:
            self._start()
        self._tasks.add(task.identity)
        line = self._line
        assert line is not None
        try:
            line.send_bytes(json.dumps({"task": task.to_json(), "candidate": candidate.to_json()}).encode())
            if not line.poll(self._timeout_s):
                self._end()
                return {"error": f"the referee gave no answer within {self._timeout_s:.0f} s"}
            answer: dict[str, Any] = json.loads(line.recv_bytes())
            return answer
        except (EOFError, OSError) as error:
            status = self._end()
            return {"error": f"the referee's process ended with status {status} ({type(error).__name__})"}

    def close(self) -> int | None:
        """End the referee in good order; how many sandboxed processes it left, None where that is unknown."""
        if self._process is None or self._line is None:
            return None
        try:
            self._line.send_bytes(b"null")
            left = int(json.loads(self._line.recv_bytes())["left_running"]) if self._line.poll(60) else None
        except (EOFError, OSError):
            left = None
        self._process.join(10)
        self._end()
        return left

    def _start(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._line, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, self._config.to_json()), daemon=True)
        self._process.start()
        theirs.close()
        self._tasks = set()

    def _end(self) -> int | None:
        process, self._process = self._process, None
        if self._line is not None:
            self._line.close()
        if process is None:
            return None
        if process.is_alive():
            process.kill()
        process.join()
        return process.exitcode

    def __enter__(self) -> Court:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:  # an interrupt does not wait for the judgement under way
            self._end()


def brief(judgement: Judgement) -> dict[str, Any]:
    """What the scoreboard needs of a judgement."""
    timing, correctness = judgement.timing, judgement.correctness
    claim = timing.claim if timing else None
    return {
        "verdict": judgement.verdict.value,
        "right": judgement.right,
        "speedup": list(judgement.speedup) if judgement.speedup else None,
        "outcome": claim.outcome.value if claim else None,
        "reason": claim.reason.value if claim and claim.reason else None,
        "resolution": claim.resolution if claim else None,
        "rounds": timing.rounds if timing else None,
        "turns": timing.turns if timing else None,
        "verified_calls": correctness.verified_calls if correctness else 0,
        "findings": [
            {
                "code": finding.code,
                "weight": finding.weight.value,
                "fault": finding.fault.value if finding.fault else None,
                "message": finding.message[:_MESSAGE_CHARACTERS],
            }
            for finding in judgement.findings
        ],
        "seconds": round(judgement.seconds, 2),
    }


def sandboxed_processes(ancestor: int) -> set[int]:
    """Living descendants of a process that run under a uid of the sandbox's."""
    parents, uids = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                stat, uids[int(folder.name)] = (folder / "stat").read_text(), folder.stat().st_uid
            except OSError:
                continue
            state, parent = stat.rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return {pid for pid in family if FIRST_UID <= uids.get(pid, 0) <= LAST_UID}


def _serve(line: Connection, config: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Referee(JudgeConfig.from_json(config)) as referee:
        prepared: set[str] = set()
        while (request := json.loads(line.recv_bytes())) is not None:
            line.send_bytes(json.dumps(_judge(referee, request, prepared)).encode())
    line.send_bytes(json.dumps({"left_running": len(sandboxed_processes(os.getpid()))}).encode())


def _judge(referee: Referee, request: dict[str, Any], prepared: set[str]) -> dict[str, Any]:
    """One judgement; processes that it leaves beyond a new task's oracle are counted."""
    task, candidate = Task.from_json(request["task"]), Candidate.from_json(request["candidate"])
    before = sandboxed_processes(os.getpid())
    try:
        judgement = referee.judge(task, candidate)
    except AssayError as error:
        return {"error": f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS], "fault": error.fault.value}
    except Exception:  # noqa: BLE001 - the edge of this process: a crash of the referee is a result to record
        return {"error": traceback.format_exc()[-1500:]}
    new = len(sandboxed_processes(os.getpid()) - before)
    oracle = 0 if task.identity in prepared or judgement.audit is None else 1
    if judgement.audit is not None:
        prepared.add(task.identity)
    return {**brief(judgement), "left_running": max(new - oracle, 0)}
