"""A module whose forward asks first whether a certified kernel fits: same parameters, same state_dict, same class name.

The module's class is replaced by a subclass of it, so nothing else about it changes: hooks, names, `isinstance`, saving
and loading its state, copying it. Under torch.compile the kernel is one opaque operator. Where a gradient is wanted the
original serves, for the kernel has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from assay.applied.kernel import CertifiedKernel

_SCHEMA = "(int site, Tensor[] inputs, Tensor[] weights, float[] scalars) -> Tensor[]"
_sites: list[Site] = []
"""All that was ever applied: a compiled graph names a site by its number."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a tensor must look like."""

    dtype: Any
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Any) -> Layout:
        """Of this one."""
        return cls(tensor.dtype, tuple(tensor.shape), tuple(tensor.stride()))


@dataclass(frozen=True, slots=True)
class Site:
    """One kernel at one place: the layouts it was certified for and what the original returns there."""

    kernel: CertifiedKernel
    inputs: tuple[Layout | None, ...]
    """None for an argument that is a number."""
    weight_names: tuple[str, ...]
    outputs: tuple[Layout, ...]
    alone: bool
    """Whether the original returns a tensor and not a tuple."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> Site:
        return self

    def why_not(self, torch: Any, arguments: Sequence[Any], weights: Sequence[Any]) -> str:
        """Why the original must serve this call; empty where the kernel may."""
        if len(arguments) != len(self.inputs):
            return "another number of arguments"
        for wanted, given in zip(self.inputs, arguments, strict=True):
            if wanted is None:
                if not isinstance(given, (int, float)) or isinstance(given, bool):
                    return "a number is wanted"
            elif type(given) not in (torch.Tensor, torch.nn.Parameter) or given.layout is not torch.strided:
                return "a plain tensor is wanted"
            elif given.device.type != "cpu" or Layout.of(given) != wanted:
                return "another device, type, shape or layout"
        if torch.is_grad_enabled() and any(
            isinstance(x, torch.Tensor) and x.requires_grad for x in (*arguments, *weights)
        ):
            return "a gradient is wanted"
        return ""


def attach(module: Any, site: Site) -> None:
    """Give a module the kernel. Its class becomes a subclass of what it was."""
    _define_operator()
    number = len(_sites)
    _sites.append(site)
    original = type(module)

    def forward(self: Any, *arguments: Any, **named: Any) -> Any:
        import torch

        weights = [self.get_parameter_or_buffer(name) for name in site.weight_names]
        reason = "named arguments" if named else site.why_not(torch, arguments, weights)
        if reason:
            site.kernel.calls.refuse(reason)
            return original.forward(self, *arguments, **named)
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        scalars = [float(a) for a in arguments if not isinstance(a, torch.Tensor)]
        found = torch.ops.assay.certified(number, tensors, weights, scalars)
        return found[0] if site.alone else tuple(found)

    def get_parameter_or_buffer(self: Any, name: str) -> Any:
        value = self  # not operator.attrgetter: torch.compile does not trace it
        for part in name.split("."):
            value = getattr(value, part)
        return value

    body = {"forward": forward, "get_parameter_or_buffer": get_parameter_or_buffer, "__module__": original.__module__}
    module.__class__ = type(original.__name__, (original,), body)


def _define_operator() -> None:
    """`torch.ops.assay.certified`, once: opaque to torch.compile, with the certified layouts as its description."""
    import torch

    if hasattr(torch.ops.assay, "certified"):
        return

    @torch.library.custom_op("assay::certified", mutates_args=(), schema=_SCHEMA)
    def certified(site: int, inputs: Any, weights: Any, scalars: Any) -> Any:
        outputs = _empty(torch, _sites[site])
        _sites[site].kernel.calls.certified += 1  # here, for a compiled model comes this far only
        _sites[site].kernel.run(inputs, weights, outputs, scalars)
        return outputs

    @certified.register_fake
    def _(site: int, inputs: Any, weights: Any, scalars: Any) -> Any:
        return _empty(torch, _sites[site])


def _empty(torch: Any, site: Site) -> list[Any]:
    return [torch.empty_strided(o.shape, o.stride, dtype=o.dtype) for o in site.outputs]
