"""What a build gives: the opaque bytes that a worker loads, and what the compiler said about its device kernels."""

from __future__ import annotations

from dataclasses import dataclass

from assay.build.resources import KernelResources


@dataclass(frozen=True, slots=True)
class Artifact:
    """A built candidate: an opaque shared object or cubin. `cpu_seconds` is None where it came from the cache.

    `kernels` are those of a device artifact, `target` the processor that it is for ("sm_90a", or "compute_90" for PTX
    that the driver compiles); a shared object has neither.
    """

    content: bytes
    identity: str
    messages: str
    cpu_seconds: float | None
    kernels: tuple[KernelResources, ...] = ()
    target: str = ""
