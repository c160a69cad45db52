"""One build of a candidate in a confined process, whatever its language: sources and commands in, opaque bytes out."""

from __future__ import annotations

import json
import os
import select
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.core.sources import Candidate
from assay.errors import CandidateError
from assay.sandbox.memfd import sealed_memfd
from assay.sandbox.spawn import Zygote, printable

_ARTIFACT_LIMIT_BYTES = 64 << 20
_BUILD_SECONDS = 90.0
_REPORT_BYTES = 512 << 10
"""16 KiB of messages from each of up to three commands, each byte of which JSON may write as six."""
_BUILD_MEMORY_BYTES = 3 << 30
"""g++ takes 0.2 GB for a kernel and 1.5 GB for PyTorch's headers, nvcc 0.2 GB."""


@dataclass(frozen=True, slots=True)
class Built:
    """The artifact's bytes, what each command wrote, and the CPU time of them all."""

    content: bytes
    messages: tuple[str, ...]
    cpu_seconds: float


class ConfinedBuilder:
    """Holds the zygote whose children compile. `visible` are folders that they may read, `module` is their program."""

    def __init__(
        self, visible: Iterable[str], module: str = "assay.build.in_sandbox", preload: Sequence[str] = ()
    ) -> None:
        self._entry = f"{module}:main"
        self._zygote = Zygote([*preload, module], visible=visible)

    def run(self, candidate: Candidate, commands: Sequence[Sequence[str]]) -> Built:
        """Run compilers. Raises CandidateError with their own words where a command fails or takes too much."""
        return self.build(candidate, {"commands": [list(command) for command in commands]})

    def build(self, candidate: Candidate, settings: Mapping[str, Any]) -> Built:
        """Give the program the candidate's files and what it needs besides. Raises CandidateError as `run` does."""
        files = [file.to_json() for file in candidate.files]
        payload = json.dumps({"files": files, **settings}).encode()
        source = sealed_memfd("assay-source", payload)
        result = os.memfd_create("assay-artifact", os.MFD_CLOEXEC)
        child = None
        try:
            child = self._zygote.spawn(
                self._entry,
                {"payload_bytes": len(payload), "limit_bytes": _ARTIFACT_LIMIT_BYTES},
                [source, result],
                may_create_processes=True,
                memory_bytes=_BUILD_MEMORY_BYTES,
                tmp_bytes=512 << 20,
                cpu_seconds=int(_BUILD_SECONDS),
            )
            ready, _, _ = select.select([child.channel], [], [], _BUILD_SECONDS)
            packet = child.channel.recv(_REPORT_BYTES) if ready else b""
            if not packet:
                raise CandidateError(
                    "the build did not finish",
                    value=child.log_text()[-500:] or f"no answer within {_BUILD_SECONDS:.0f} s",
                    rule="90 s, 3 GB of memory and 512 MB of disk for one build",
                    next_step="make the candidate smaller",
                )
            return _built(json.loads(packet), result)
        finally:
            if child is not None:
                child.kill()
            os.close(source)
            os.close(result)

    def close(self) -> None:
        """End the zygote."""
        self._zygote.close()


def _built(report: dict[str, object], result: int) -> Built:
    size, written = report["size_bytes"], report["messages"]
    messages = tuple(printable(str(text).encode()) for text in written) if isinstance(written, list) else ()
    if not isinstance(size, int) or size <= 0:
        said = "".join(messages).strip()
        raise CandidateError("the candidate does not compile", value=said or "no output file")
    cpu = report["cpu_seconds"]
    return Built(os.pread(result, size, 0), messages, float(cpu) if isinstance(cpu, (int, float)) else 0.0)
