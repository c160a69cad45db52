"""Where a referee's confined processes come from: one zygote for all, others for programs that compile or use a GPU."""

from __future__ import annotations

from types import TracebackType

from assay.native.library import built
from assay.referee.gpu import GpuRuntime
from assay.referee.protocol.party import Program
from assay.sandbox.spawn import Zygote

_WORKERS = ("torch", "numpy", "assay.referee.processes.worker")
_PLAIN = (*_WORKERS, "assay.referee.processes.oracle")
_COMPILING = (*_WORKERS, "torch._dynamo", "torch._inductor.compile_fx", "torch._inductor.codegen.cpp")
"""torch.compile imports these on first use: 2.5 s in every fresh process, of which a round has two or three."""


class Zygotes:
    """A context manager. The plain zygote starts at once, another when a program first needs it.

    Raises MachineError where the sandbox or Assay's native part cannot be had.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self.gpu: GpuRuntime | None = None
        """Set before the first program that runs on a device."""
        self.plain = self._start(_PLAIN)
        self._others: dict[tuple[bool, bool], Zygote] = {}

    def for_program(self, program: Program) -> Zygote:
        """The zygote that a program's workers come from."""
        kind = (program.compiles, program.on_device)
        if kind == (False, False):
            return self.plain
        if kind not in self._others:
            visible = (*self.gpu.nodes, *self.gpu.visible) if self.gpu is not None and program.on_device else ()
            self._others[kind] = self._start(_COMPILING if program.compiles else _WORKERS, visible)
        return self._others[kind]

    def _start(self, preload: tuple[str, ...], visible: tuple[str, ...] = ()) -> Zygote:
        prepare = ["assay.referee.processes.loading:initialise_math"]
        libraries = [str(built())]
        return Zygote(preload, threads=self._threads, libraries=libraries, prepare=prepare, visible=visible)

    def close(self) -> None:
        """End them all."""
        for zygote in (self.plain, *self._others.values()):
            zygote.close()

    def __enter__(self) -> Zygotes:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
