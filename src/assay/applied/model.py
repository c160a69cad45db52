"""Certificates into a model: every submodule whose graph one of them is about gets its kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from assay.applied.dispatch import Layout, Site, attach
from assay.applied.kernel import Calls, CertifiedKernel, load_kernels
from assay.core.sources import Task
from assay.engineer.convert import convert, key_of
from assay.engineer.places import Place, measure_places
from assay.errors import InputError


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied: for each submodule's name its calls, counted from now on; `unused` are certificates that fit
    nowhere."""

    calls: Mapping[str, Calls]
    unused: tuple[str, ...]


def apply_certificates(model: Any, certificates: Iterable[Mapping[str, Any]], example_inputs: Sequence[Any]) -> Applied:
    """Give `model`, in place, the certified kernels of its submodules; see `dispatch` for when they serve.

    `example_inputs` are positional, of the shapes that the kernels were certified for. Raises InputError for a
    certificate that does not accept, does not verify, or is not about a converted module.
    """
    kernels = load_kernels(certificates, _part_key)
    found: dict[str, Calls] = {}
    used: set[str] = set()
    taken: list[str] = []
    for place in measure_places(model, example_inputs):
        if any(place.is_within(other) for other in taken):
            continue
        key, weight_names = _key(place)
        if key in kernels:
            attach(place.module, _site(place, kernels[key], weight_names))
            found[place.name] = kernels[key].calls
            used.add(key)
            taken.append(place.name)
    return Applied(found, tuple(k.certificate_identity for key, k in kernels.items() if key not in used))


def _part_key(task: Task) -> str:
    key = key_of(task)
    if key is None:
        raise InputError("this certificate is not about a part of a model", value=task.name)
    return key


def _key(place: Place) -> tuple[str, tuple[str, ...]]:
    """The graph's key, empty where the place has none."""
    if place.arguments is None:
        return "", ()
    try:
        converted = convert(place.module, place.arguments, place.name or "model")
    except InputError:
        return "", ()
    return converted.key, converted.weight_names


def _site(place: Place, kernel: CertifiedKernel, weight_names: tuple[str, ...]) -> Site:
    import torch

    assert place.arguments is not None
    with torch.no_grad():
        result = place.module(*place.arguments)
    alone = isinstance(result, torch.Tensor)
    outputs = (result,) if alone else tuple(result)
    inputs = tuple(Layout.of(a) if isinstance(a, torch.Tensor) else None for a in place.arguments)
    return Site(kernel, inputs, weight_names, tuple(Layout.of(o) for o in outputs), alone)
