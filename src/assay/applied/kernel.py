"""A certified kernel as a function of tensors: built from its certificate's sources, guarded, counted.

It runs in the caller's own process, so only certificates that accept and whose signature verifies are taken. A call is
the kernel's where every tensor has the certified type, shape, strides and device; anything else is the original's.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from assay.archive.admission import Admissible, check_admissible
from assay.build.cpp import CppBuilder
from assay.core.sources import Candidate, Language, Task
from assay.core.tensors import Placement
from assay.errors import InputError, InternalError
from assay.referee.processes.native_abi import CallRecord, descriptors
from assay.referee.processes.tensors import spec_of

_ABI_VERSION = 1


@dataclass(slots=True)
class Calls:
    """How often the kernel and the original served, and why not the kernel, by reason."""

    certified: int = 0
    original: int = 0
    reasons: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """One call for the original."""
        self.original += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1


class CertifiedKernel:
    """A loaded kernel. Copies of a model share it, and its counter.

    Raises InputError for a certificate whose candidate is not C++.
    """

    def __init__(self, certificate: Admissible, builder: CppBuilder) -> None:
        checked = certificate.certificate
        self.candidate = Candidate.from_json(checked["candidate"])
        self.task = Task.from_json(checked["task"])
        self.certificate_identity = str(checked["identity"])
        self.threads = int(checked["config"]["threads"]) or (os.cpu_count() or 1)
        self.calls = Calls()
        if self.candidate.language is not Language.CPP:
            raise InputError("only C++ kernels can be applied", value=self.candidate.language.value)
        self._entry = load_entry(builder.build(self.candidate).content, self.candidate.entry)

    def __deepcopy__(self, _memo: dict[int, Any]) -> CertifiedKernel:
        return self

    def run(
        self, inputs: Sequence[Any], weights: Sequence[Any], outputs: Sequence[Any], scalars: Sequence[float]
    ) -> None:
        """Fill `outputs`, tensors of the certified layout. Raises InternalError where the kernel refuses the call."""
        self.prepare(inputs, weights, outputs, len(scalars)).run(scalars)

    def prepare(
        self, inputs: Sequence[Any], weights: Sequence[Any], outputs: Sequence[Any], scalars: int = 0
    ) -> PreparedCall:
        """A call on these tensors that can be made many times; with 100 tensors describing them takes 0.5 ms."""
        import torch

        record = CallRecord()
        record.abi_version, record.n_threads = _ABI_VERSION, min(self.threads, torch.get_num_threads())
        held: list[Any] = [tuple(inputs), tuple(weights), tuple(outputs)]
        for name, tensors in (("inputs", inputs), ("weights", weights), ("outputs", outputs)):
            placement = Placement.pack(spec_of("", tensor) for tensor in tensors)
            array = descriptors(placement, 0, [tensor.data_ptr() for tensor in tensors])
            held.append(array)
            setattr(record, f"n_{name}", len(tensors))
            setattr(record, name, array)
        numbers = (ctypes.c_double * max(scalars, 1))()
        record.n_scalars, record.scalars = scalars, numbers
        return PreparedCall(self._entry, self.task.name, record, numbers, held)


def load_kernels(
    certificates: Iterable[Mapping[str, Any]], name_of: Callable[[Task], str]
) -> dict[str, CertifiedKernel]:
    """The kernels of certificates by `name_of` their tasks.

    Raises InputError for a certificate that does not accept or does not verify, and whatever `name_of` raises.
    """
    kernels: dict[str, CertifiedKernel] = {}
    with CppBuilder() as builder:
        for certificate in certificates:
            checked = check_admissible(certificate, "certificate")
            name = name_of(Task.from_json(checked.certificate["task"]))
            kernels[name] = CertifiedKernel(checked, builder)
    return kernels


class PreparedCall:
    """A kernel's call with its tensors described; it keeps them alive."""

    def __init__(self, entry: Any, name: str, record: CallRecord, numbers: Any, held: list[Any]) -> None:
        self._entry, self._name, self._record, self._numbers, self._held = entry, name, record, numbers, held

    def give(self, inputs: Sequence[Any]) -> None:
        """Other inputs of the same layouts."""
        self._held[0] = tuple(inputs)
        for descriptor, tensor in zip(self._held[3], inputs, strict=False):
            descriptor.data = tensor.data_ptr()

    def run(self, scalars: Sequence[float] = ()) -> None:
        """Make the call. Raises InternalError where the kernel refuses it."""
        self._numbers[: len(scalars)] = list(scalars)
        code = self._entry(ctypes.byref(self._record))
        if code != 0:
            raise InternalError(
                "a certified kernel refused a call of its certified layout", value=f"{self._name}: {code}",
                next_step="report this with the certificate",
            )  # fmt: skip


def load_entry(content: bytes, entry: str) -> Any:
    """The entry of a shared object, loaded from memory: nothing is left on disk.

    The descriptor stays open as long as the process: the loader knows libraries by their paths, and would take another
    one under a number that has been used before for the first.
    """
    fd = os.memfd_create("assay-kernel", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(content)
        library = ctypes.CDLL(f"/proc/self/fd/{fd}")
        function = getattr(library, entry)
    except BaseException:
        os.close(fd)
        raise
    function.argtypes, function.restype = (ctypes.c_void_p,), ctypes.c_int
    return function
