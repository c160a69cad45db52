"""Device candidates of either language to an artifact for one GPU; each compiler starts when it is first needed."""

from __future__ import annotations

from assay.build.artifact import Artifact
from assay.build.cuda import DEFAULT_CAPABILITY, CudaBuilder
from assay.build.triton import TritonBuilder
from assay.core.sources import Candidate, Language


class DeviceCompiler:
    """A context manager. Raises MachineError where the language's compiler is not here."""

    def __init__(self) -> None:
        self._builders: dict[Language, CudaBuilder | TritonBuilder] = {}

    def build(self, candidate: Candidate, capability: int = DEFAULT_CAPABILITY) -> Artifact:
        """The artifact for a compute capability (90 for 9.0). Raises CandidateError with the compiler's own words."""
        builder = self._builders.get(candidate.language)
        if builder is None:
            builder = CudaBuilder() if candidate.language is Language.CUDA else TritonBuilder()
            self._builders[candidate.language] = builder
        return builder.build(candidate, capability)

    def close(self) -> None:
        """End the compilers' processes."""
        for builder in self._builders.values():
            builder.close()

    def __enter__(self) -> DeviceCompiler:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
