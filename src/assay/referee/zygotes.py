"""Where a referee's confined processes come from: one zygote for all, and one more for programs that compile."""

from __future__ import annotations

from types import TracebackType

from assay.native.library import built
from assay.referee.protocol.party import Program
from assay.sandbox.spawn import Zygote

_WORKERS = ("torch", "numpy", "assay.referee.processes.worker")
_PLAIN = (*_WORKERS, "assay.referee.processes.oracle")
_COMPILING = (*_WORKERS, "torch._dynamo", "torch._inductor.compile_fx", "torch._inductor.codegen.cpp")
"""torch.compile imports these on first use: 2.5 s in every fresh process, of which a round has two or three."""


class Zygotes:
    """A context manager. The second zygote starts when a program first needs it.

    Raises MachineError where the sandbox or Assay's native part cannot be had.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.plain = self._start(_PLAIN)
        self._compiling: Zygote | None = None

    def for_program(self, program: Program) -> Zygote:
        """The zygote that a program's workers come from."""
        if not program.compiles:
            return self.plain
        if self._compiling is None:
            self._compiling = self._start(_COMPILING)
        return self._compiling

    def _start(self, preload: tuple[str, ...]) -> Zygote:
        prepare = ["assay.referee.processes.loading:initialise_math"]
        return Zygote(preload, threads=self._threads, libraries=[str(built())], prepare=prepare)

    def close(self) -> None:
        """End both."""
        self.plain.close()
        if self._compiling is not None:
            self._compiling.close()

    def __enter__(self) -> Zygotes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
