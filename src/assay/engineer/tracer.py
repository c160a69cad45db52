"""The reference as a graph of ATen operators with symbolic sizes.

It runs in a confined process, for a task is a stranger's code. The answer is JSON; nothing in it is ever evaluated
(graph.py reads it).

Only sizes that the task's axes change are symbols. Weights are inputs of the graph, and a number among forward's
arguments becomes a tensor without dimensions, so that its value is read at every call.
"""

from __future__ import annotations

import json
import mmap
import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from assay.engineer import decompositions
from assay.engineer.composites import padded, replacing
from assay.engineer.graph_writing import Writer
from assay.referee.processes.loading import flatten, import_sources

_KEPT_WHOLE = (
    "convolution", "addmm", "mm", "bmm", "max_pool2d_with_indices", "max_pool3d_with_indices", "avg_pool2d",
    "avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "topk", "sort", "cumsum", "cumprod", "cummax",
    "cummin", "embedding", "_embedding_bag", "index_add", "scatter", "scatter_add", "gather", "index_select",
)  # fmt: skip
"""Operators with a generator of their own, or none at all; everything else is decomposed as far as PyTorch can."""
_PACKET_BYTES = 4 << 20
_LEAST_SIZE = 2
"""PyTorch takes a size of one for a constant."""


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Answer one request with the graph, or with the reason why there is none."""
    warnings.simplefilter("ignore")
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        task = json.loads(bytes(view))
    try:
        answer = trace(task)
    except BaseException as error:  # noqa: BLE001 - a task may raise anything; the parent turns it into a clear message
        answer = {"error": f"{type(error).__name__}: {error}"[:1500]}
    raw = json.dumps(answer).encode()
    if len(raw) > _PACKET_BYTES:
        raw = json.dumps({"error": f"the graph is too large: {len(raw)} bytes"}).encode()
    channel.sendall(len(raw).to_bytes(8, "little"))
    for start in range(0, len(raw), 1 << 16):
        channel.send(raw[start : start + (1 << 16)])


def trace(task: dict[str, Any]) -> dict[str, Any]:
    """The graph of a task's reference, as `graph.read_graph` wants it."""
    torch = sys.modules["torch"]
    file, _, symbol = task["entry"].partition(":")
    module = import_sources(task["files"], file)
    declared = dict(getattr(module, "TASK", {})) | task["overrides"]
    model = getattr(module, symbol)
    if isinstance(model, type):
        torch.manual_seed(0)
        model = model(*getattr(module, "get_init_inputs", list)())
        model.train(declared.get("mode", "eval") == "train")
    axes = {**declared.get("axes", {}), **(declared.get("workloads") or [{}])[0]}
    found: dict[str, Any] = trace_model(torch, model, module.get_inputs, axes)
    return found


def trace_model(torch: Any, model: Any, get_inputs: Callable[..., Sequence[Any]], axes: dict[str, int]) -> Any:
    """The graph of a module or function on inputs drawn at `axes`."""
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    axes = {name: max(size, _LEAST_SIZE) for name, size in axes.items()}
    arguments = list(get_inputs(**axes))
    varying = _varying_sizes(torch, arguments, get_inputs, axes)
    state = dict(model.state_dict(keep_vars=True)) if hasattr(model, "state_dict") else {}
    environment = ShapeEnv(duck_shape=False, specialize_zero_one=True)
    mode = FakeTensorMode(shape_env=environment, static_shapes=False)
    fakes = [
        _fake(torch, mode, torch.tensor(a, dtype=torch.float64) if isinstance(a, float) else a, index, varying[index])
        for index, a in enumerate(arguments)
        if isinstance(a, (torch.Tensor, float))
    ]
    fake_state = {name: _fake(torch, mode, value, f"w{i}", set()) for i, (name, value) in enumerate(state.items())}

    def function(given: list[Any], weights: list[Any]) -> list[Any]:
        tensors = iter(given)
        full = [next(tensors) if isinstance(a, (torch.Tensor, float)) else a for a in arguments]
        with torch.no_grad(), replacing():
            if not weights:
                return flatten(torch, model(*full))
            named = dict(zip(state, weights, strict=True))
            return flatten(torch, torch.func.functional_call(model, named, tuple(full), tie_weights=False))

    with mode:
        graph = make_fx(function, decomposition_table=_decompositions(torch))(fakes, list(fake_state.values()))
    graph.graph.eliminate_dead_code()
    with torch.no_grad():
        results = flatten(torch, model(*arguments))
    written = Writer(torch, graph, environment, len(fakes), list(state)).written(arguments)
    return written | {"orders": [_order(result) for result in results], "hints": _hints(torch, fakes, arguments)}


def _hints(torch: Any, fakes: list[Any], arguments: list[Any]) -> dict[str, int]:
    """What each symbol was in this trace."""
    passed = [a for a in arguments if isinstance(a, (torch.Tensor, float))]
    pairs = ((s, n) for fake, a in zip(fakes, passed, strict=True) if isinstance(a, torch.Tensor)
             for s, n in zip(fake.shape, a.shape, strict=True))  # fmt: skip
    return {str(s.node.expr): int(n) for s, n in pairs if isinstance(s, torch.SymInt) and s.node.expr.is_Symbol}


def _order(result: Any) -> list[int]:
    """A result's dimensions from the slowest in memory to the fastest, as it comes in reality: the trace may differ."""
    return sorted(range(result.dim()), key=lambda d: (-result.stride(d), d))


def _fake(torch: Any, mode: Any, tensor: Any, key: Any, dynamic: set[int]) -> Any:
    from torch._dynamo.source import ConstantSource
    from torch.fx.experimental.symbolic_shapes import DimDynamic, StatelessSymbolicContext

    sizes = [DimDynamic.DYNAMIC if d in dynamic else DimDynamic.STATIC for d in range(tensor.dim())]
    context: Any = StatelessSymbolicContext(dynamic_sizes=sizes)
    fake = mode.from_tensor(tensor.detach(), symbolic_context=context, source=ConstantSource(f"argument{key}"))
    return fake.requires_grad_(tensor.requires_grad)


def _varying_sizes(torch: Any, arguments: list[Any], get_inputs: Any, axes: dict[str, int]) -> dict[int, set[int]]:
    """For each argument the dimensions that some axis changes; an axis that cannot be changed is taken as fixed."""
    varying: dict[int, set[int]] = {index: set() for index in range(len(arguments))}
    for name, size in axes.items():
        try:
            other = get_inputs(**{**axes, name: size // 2 if size >= 4 else 2 * size})
        except (RuntimeError, ValueError, IndexError):
            continue
        for index, (a, b) in enumerate(zip(arguments, other, strict=True)):
            if isinstance(a, torch.Tensor):
                varying[index] |= {d for d, (m, n) in enumerate(zip(a.shape, b.shape, strict=True)) if m != n}
    return varying


def _decompositions(torch: Any) -> dict[Any, Any]:
    from torch._decomp import decomposition_table

    def kept(operator: Any) -> bool:
        return str(operator).removeprefix("aten.").split(".")[0] in _KEPT_WHOLE

    rules = {operator: rule for operator, rule in decomposition_table.items() if not kept(operator)}
    return rules | {torch.ops.aten.constant_pad_nd.default: padded} | decompositions.rules(torch)
