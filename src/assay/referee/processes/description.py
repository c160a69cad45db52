"""What a reference is at one choice of axes: what goes in, what comes out, how it behaves, what it depends on."""

from __future__ import annotations

from typing import Any

from assay.referee.correctness import families
from assay.referee.processes.loading import flatten
from assay.referee.processes.reference import Reference
from assay.referee.processes.tensors import spec_of

_FAN_IN_PROBES = 3


def describe(reference: Reference, axes: dict[str, int], seed: int) -> tuple[list[Any], dict[str, Any]]:
    """Draw once at these axes and run the reference. Returns the arguments, and what there is to say of them."""
    torch = reference.torch
    arguments = reference.draw_arguments(axes, seed, families.OWN)
    before = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
    state = torch.get_rng_state()
    with torch.no_grad():
        outputs = flatten(torch, reference.model(*arguments))
    draws_random = not torch.equal(state, torch.get_rng_state())
    pairs = enumerate(zip(arguments, before, strict=True))
    mutated = [i for i, (a, b) in pairs if isinstance(a, torch.Tensor) and not _same_bits(torch, a, b)]
    bad = [type(o).__name__ for o in outputs if not isinstance(o, torch.Tensor)]
    if bad or not outputs:
        raise TypeError(f"forward must return tensors; it returned {', '.join(bad) or 'nothing'}")
    flops = reference.declared.get("flops")
    names = reference.argument_names(len(arguments))
    tensors = [(n, a) for n, a in zip(names, arguments, strict=True) if isinstance(a, torch.Tensor)]
    reads, fan_in = _dependence(reference, arguments)
    return arguments, {
        "arguments": ["tensor" if isinstance(a, torch.Tensor) else "scalar" for a in arguments],
        "inputs": [spec_of(n, a).to_json() for n, a in tensors],
        "scalars": [a for a in arguments if not isinstance(a, torch.Tensor)],
        "outputs": [spec_of(f"output{i}", o).to_json() for i, o in enumerate(outputs)],
        "draws_random": draws_random,
        "mutates": [names[i] for i in mutated],
        "flops": float(flops(**axes)) if callable(flops) else flops,
        "float64": reference.exact_works(arguments),
        "necessary_read_bytes": reads,
        "fan_in": fan_in,
        "rolled": [i for i, (name, tensor) in enumerate(tensors) if _may_be_rolled(reference, name, tensor)],
    }


def _may_be_rolled(reference: Reference, name: str, tensor: Any) -> bool:
    if reference.declared.get("jumps"):
        return False  # what is made of another input may be decided by rounding
    domain = reference.declared.get("domains", {}).get(name, "real")
    return bool(tensor.is_floating_point() and domain != "fixed" and tensor.numel() > 1)


def _dependence(reference: Reference, arguments: list[Any]) -> tuple[int, int]:
    """Bytes of input that the outputs depend on, and how many numbers one output element depends on, by gradients.

    Both are lower bounds: what ReLU zeroes or a maximum passes over must be read too. 0 where there is no gradient.
    """
    torch = reference.torch
    leaves = [a.clone().requires_grad_() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
              for a in arguments]  # fmt: skip
    wanted = [a for a in leaves if isinstance(a, torch.Tensor) and a.requires_grad]
    weights = [w for w in reference.state().values() if w.requires_grad]
    try:
        with torch.enable_grad():
            outputs = [o for o in flatten(torch, reference.model(*leaves)) if o.requires_grad]
            if not outputs or not wanted:
                return 0, 0
            total = sum((o * torch.randn_like(o)).sum() for o in outputs)
            reads = torch.autograd.grad(total, wanted, allow_unused=True, retain_graph=True)
            fan_in = 0
            for output in outputs:
                for _ in range(_FAN_IN_PROBES):
                    element = output.reshape(-1)[int(torch.randint(output.numel(), ()))]
                    found = torch.autograd.grad(element, [*wanted, *weights], allow_unused=True, retain_graph=True)
                    fan_in = max(fan_in, sum(int(g.count_nonzero()) for g in found if g is not None))
    except (RuntimeError, NotImplementedError):
        return 0, 0
    return sum(int(g.count_nonzero()) * g.element_size() for g in reads if g is not None), fan_in


def _same_bits(torch: Any, a: Any, b: Any) -> bool:
    if a.is_floating_point():
        return bool(torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)))
    return bool(torch.equal(a, b))
