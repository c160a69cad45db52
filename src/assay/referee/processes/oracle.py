"""The oracle's process: it runs the reference, never a candidate. Confined too, for a task file is a stranger's code.

It draws inputs from a secret seed, computes what is expected in float64, and what the reference itself gives in the
task's type. It decides nothing; comparison and tolerance are the referee's.
"""

from __future__ import annotations

import copy
import inspect
import json
import mmap
import socket
import sys
import traceback
import warnings
from typing import Any

from assay.core.tensors import Placement, TensorSpec
from assay.referee.correctness import families
from assay.referee.processes.loading import flatten, import_sources

_PACKET_BYTES = 128 << 10
_FAN_IN_PROBES = 3
_SMALL_VARIANCES = 0.1
"""Share of channels whose variance is so small that a forgotten epsilon of 1e-5 shows."""


def main(channel: socket.socket, fds: list[int], args: dict[str, Any]) -> None:
    """Answer the referee's requests, JSON each way, until the channel closes."""
    warnings.simplefilter("ignore")
    with mmap.mmap(fds[0], args["payload_bytes"], prot=mmap.PROT_READ) as view:
        payload = json.loads(bytes(view))
    program: _Program | None = None
    blocks: dict[str, mmap.mmap] = {}
    while True:
        packet, received, _, _ = socket.recv_fds(channel, _PACKET_BYTES, 8)
        if not packet:
            return
        request = json.loads(packet)
        try:
            if request["op"] == "blocks":
                names = request["sizes"]
                blocks = {n: mmap.mmap(fd, names[n]) for n, fd in zip(names, received, strict=True)}
                answer: dict[str, Any] = {}
            elif request["op"] == "load":
                program = _Program(payload)
                answer = program.declare()
            elif program is None:
                raise RuntimeError("not loaded")
            elif request["op"] == "describe":
                answer = program.describe(request["axes"], request["seed"])
            elif request["op"] == "evaluate":
                answer = program.evaluate(blocks, request)
            else:
                answer = program.draw(blocks, request)
        except BaseException as error:  # noqa: BLE001 - a task may raise anything; the referee turns it into a clear verdict
            answer = {"error": f"{type(error).__name__}: {error}"[:1500], "where": _task_frames(error)}
        channel.send(json.dumps(answer).encode()[:_PACKET_BYTES])


class _Program:
    """A task program (docs/task-format.md), loaded."""

    def __init__(self, payload: dict[str, Any]) -> None:
        self.torch = sys.modules["torch"]
        self.torch.set_num_threads(int(payload["threads"]))
        task = payload["task"]
        file, _, symbol = task["entry"].partition(":")
        module = import_sources(task["files"], file)
        if not hasattr(module, symbol):
            raise AttributeError(f"{file} defines no {symbol}")
        self.target_type = getattr(module, symbol)
        self.get_inputs = module.get_inputs
        self.declared = dict(getattr(module, "TASK", {})) | task["overrides"]
        self.init_arguments = list(getattr(module, "get_init_inputs", list)())
        self.construction_seed = int(payload["construction_seed"])
        self.model = self._construct()
        self.constructed = {name: tensor.detach().clone() for name, tensor in self.state().items()}
        self.exact: Any = None
        self.described: dict[str, list[TensorSpec]] = {}
        self.scalars: dict[str, list[Any]] = {}

    def _construct(self) -> Any:
        if not isinstance(self.target_type, type):
            return self.target_type
        self.torch.manual_seed(self.construction_seed)
        model = self.target_type(*self.init_arguments)
        model.train(self.declared.get("mode", "eval") == "train")
        return model

    def state(self) -> dict[str, Any]:
        """The module's weights by name; empty for a function."""
        return dict(self.model.state_dict(keep_vars=True)) if hasattr(self.model, "state_dict") else {}

    def declare(self) -> dict[str, Any]:
        """The task's declarations and what the source says without running forward."""
        keys = ("family", "axes", "workloads", "limits", "domains", "weights", "mode", "linear", "deterministic",
                "error_factor", "error_reason")  # fmt: skip
        declared = {key: self.declared[key] for key in keys if key in self.declared}
        weights = [spec_of(name, tensor).to_json() for name, tensor in self.state().items()]
        parameters = [name for name, _ in self.model.named_parameters(remove_duplicate=False)] if weights else []
        try:
            json.dumps(self.init_arguments)
        except TypeError:
            raise TypeError("get_init_inputs must return numbers, strings and lists of them") from None
        return {
            "declared": declared,
            "init_arguments": self.init_arguments,
            "weights": weights,
            "parameters": parameters,
            "training_batch_norm": self._has_training_batch_norm(),
        }

    def _has_training_batch_norm(self) -> bool:
        if not weights_of(self.model):
            return False
        kind = self.torch.nn.modules.batchnorm._BatchNorm
        return any(isinstance(m, kind) and m.training for m in self.model.modules())

    def describe(self, axes: dict[str, int], seed: int) -> dict[str, Any]:
        """Draw once at these axes and run the reference: what goes in, what comes out, and how it behaves."""
        torch = self.torch
        arguments = self._draw_arguments(axes, seed, families.OWN)
        before = [a.clone() if isinstance(a, torch.Tensor) else a for a in arguments]
        state = torch.get_rng_state()
        with torch.no_grad():
            outputs = flatten(torch, self.model(*arguments))
        draws_random = not torch.equal(state, torch.get_rng_state())
        pairs = enumerate(zip(arguments, before, strict=True))
        mutated = [i for i, (a, b) in pairs if isinstance(a, torch.Tensor) and not _same_bits(torch, a, b)]
        bad = [type(o).__name__ for o in outputs if not isinstance(o, torch.Tensor)]
        if bad or not outputs:
            raise TypeError(f"forward must return tensors; it returned {', '.join(bad) or 'nothing'}")
        flops = self.declared.get("flops")
        names = self._argument_names(len(arguments))
        tensors = pairs_of_tensors(torch, names, arguments)
        reads, fan_in = self._dependence(arguments)
        key = json.dumps(axes, sort_keys=True)
        self.described[key] = [spec_of("", tensor) for _, tensor in tensors]
        self.scalars[key] = [None if isinstance(a, torch.Tensor) else a for a in arguments]
        return {
            "arguments": ["tensor" if isinstance(a, torch.Tensor) else "scalar" for a in arguments],
            "inputs": [spec_of(n, a).to_json() for n, a in pairs_of_tensors(torch, names, arguments)],
            "scalars": [a for a in arguments if not isinstance(a, torch.Tensor)],
            "outputs": [spec_of(f"output{i}", o).to_json() for i, o in enumerate(outputs)],
            "draws_random": draws_random,
            "mutates": [names[i] for i in mutated],
            "flops": float(flops(**axes)) if callable(flops) else flops,
            "float64": self._exact_works(arguments),
            "necessary_read_bytes": reads,
            "fan_in": fan_in,
            "rolled": [i for i, (name, tensor) in enumerate(tensors) if self._may_be_rolled(name, tensor)],
        }

    def _may_be_rolled(self, name: str, tensor: Any) -> bool:
        domain = self.declared.get("domains", {}).get(name, "real")
        return bool(tensor.is_floating_point() and domain != "fixed" and tensor.numel() > 1)

    def _dependence(self, arguments: list[Any]) -> tuple[int, int]:
        """Bytes of input that the outputs depend on, and how many numbers one output element depends on, by gradients.

        Both are lower bounds: what ReLU zeroes or a maximum passes over must be read too. 0 where there is no gradient.
        """
        torch = self.torch
        leaves = [a.clone().requires_grad_() if isinstance(a, torch.Tensor) and a.is_floating_point() else a
                  for a in arguments]  # fmt: skip
        wanted = [a for a in leaves if isinstance(a, torch.Tensor) and a.requires_grad]
        weights = [w for w in self.state().values() if w.requires_grad]
        try:
            with torch.enable_grad():
                outputs = [o for o in flatten(torch, self.model(*leaves)) if o.requires_grad]
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

    def _exact_works(self, arguments: list[Any]) -> str:
        """Why there is no float64 oracle, or an empty string where there is one."""
        try:
            self.exact = self._exact_model()
            wide = flatten(self.torch, self._run_exact(arguments))
        except Exception as error:  # noqa: BLE001 - any failure means that the reference is not type-generic
            return f"{type(error).__name__}: {error}"[:300]
        narrow = [str(o.dtype) for o in wide if o.is_floating_point() and o.dtype != self.torch.float64]
        return f"an output stays {narrow[0]} on float64 inputs" if narrow else ""

    def _exact_model(self) -> Any:
        if not weights_of(self.model):
            return self.model
        model = self._construct().double()
        self._copy_weights(model)
        return model

    def _copy_weights(self, model: Any) -> None:
        if weights_of(model):
            for mine, given in zip(model.state_dict(keep_vars=True).values(), self.state().values(), strict=True):
                mine.data = given.data.to(mine.dtype)

    def _run_exact(self, arguments: list[Any]) -> Any:
        wide = [a.double() if isinstance(a, self.torch.Tensor) and a.is_floating_point() else a for a in arguments]
        with self.torch.no_grad():
            return self.exact(*wide)

    def _draw_arguments(self, axes: dict[str, int], seed: int, family: str) -> list[Any]:
        torch = self.torch
        torch.manual_seed(seed)
        drawn = list(self.get_inputs(**axes))
        arguments = [a.detach() if isinstance(a, torch.Tensor) else a for a in drawn]
        for index, value in enumerate(arguments):
            if isinstance(value, torch.Tensor):
                arguments[index] = value if _is_dense(value) else value.contiguous()
            elif not isinstance(value, (bool, int, float)):
                raise TypeError(f"get_inputs must return tensors and numbers; item {index} is {type(value).__name__}")
        domains = self.declared.get("domains", {})
        names = self._argument_names(len(arguments))
        return [families.transform(torch, a, domains.get(n, "real"), family) if isinstance(a, torch.Tensor) else a
                for n, a in zip(names, arguments, strict=True)]  # fmt: skip

    def _argument_names(self, count: int) -> list[str]:
        function = self.model.forward if hasattr(self.model, "forward") else self.model
        names = [p.name for p in inspect.signature(function).parameters.values()][:count]
        return names + [f"input{i}" for i in range(len(names), count)]

    def draw(self, blocks: dict[str, mmap.mmap], request: dict[str, Any]) -> dict[str, Any]:
        """Fresh inputs (and weights, on request), the expected outputs, and what else the request wants."""
        torch = self.torch
        if request.get("weights_seed"):
            self._draw_weights(blocks["weights"], request["weights_seed"], request["parameters_only"])
        arguments = self._draw_arguments(request["axes"], request["seed"], request["family"])
        tensors = [a for a in arguments if isinstance(a, torch.Tensor)]
        if [spec_of("", a) for a in tensors] != self.described[json.dumps(request["axes"], sort_keys=True)]:
            raise ValueError("get_inputs must give the same shapes, types and strides every time for the same axes")
        _store(torch, tensors, blocks["inputs"])
        answer: dict[str, Any] = {}
        run_seed = request["run_seed"]
        if "expected" in request["want"]:
            answer["expected"] = self._store_expected(arguments, run_seed, blocks["expected"])
        if "reference" in request["want"]:
            outputs = [output.contiguous() for output in self._reference(arguments, run_seed)]
            answer["reference"] = [spec_of("", output).to_json() for output in outputs]
            _store(torch, outputs, blocks["reference"])
        if "nearby" in request["want"]:
            self._store_expected([_nudged(torch, a) for a in arguments], run_seed, blocks["nearby"])
        if "half" in request["want"] and (half := self._half(arguments, run_seed)) is not None:
            answer["half"] = [spec_of("", o).to_json() for o in half]
            _store(torch, half, blocks["half"])
        return answer

    def evaluate(self, blocks: dict[str, mmap.mmap], request: dict[str, Any]) -> dict[str, Any]:
        """What the inputs that the referee has put into the block should give."""
        key = json.dumps(request["axes"], sort_keys=True)
        placement = Placement.pack(self.described[key])
        tensors = iter(_load(self.torch, placement, blocks["inputs"]))
        arguments = [next(tensors) if a is None else a for a in self.scalars[key]]
        return {"expected": self._store_expected(arguments, 0, blocks["expected"])}

    def _half(self, arguments: list[Any], run_seed: int) -> list[Any] | None:
        """The reference run in bfloat16, widened again; None where it does not run in that type."""
        torch = self.torch
        try:
            model = copy.deepcopy(self.model).to(torch.bfloat16) if weights_of(self.model) else self.model
            low = [a.bfloat16() if isinstance(a, torch.Tensor) and a.is_floating_point() else a for a in arguments]
            if run_seed:
                torch.manual_seed(run_seed)
            with torch.no_grad():
                outputs = flatten(torch, model(*low))
        except (RuntimeError, TypeError, NotImplementedError):
            return None
        wanted = self._reference(arguments, run_seed)
        return [o.to(w.dtype).contiguous() for o, w in zip(outputs, wanted, strict=True)]

    def _reference(self, arguments: list[Any], run_seed: int) -> list[Any]:
        if run_seed:
            self.torch.manual_seed(run_seed)
        with self.torch.no_grad():
            return flatten(self.torch, self.model(*arguments))

    def _store_expected(self, arguments: list[Any], run_seed: int, block: mmap.mmap) -> list[dict[str, Any]]:
        """Store float64 (or integer) outputs in logical order; the reference's where there is no float64 oracle."""
        if run_seed:
            self.torch.manual_seed(run_seed)
        if self.exact is None:
            outputs = self._reference(arguments, run_seed)
        else:
            outputs = flatten(self.torch, self._run_exact(arguments))
        wide = [(o.double() if o.is_floating_point() else o).contiguous() for o in outputs]
        _store(self.torch, wide, block)
        return [spec_of("", o).to_json() for o in wide]

    def _draw_weights(self, block: mmap.mmap, seed: int, parameters_only: bool) -> None:
        """Perturb every weight: a bug in an affine parameter shows only where gamma is not 1 and beta not 0."""
        torch = self.torch
        torch.manual_seed(seed)
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        for name, mine in self.state().items():
            if name in parameters or not parameters_only:
                mine.data = _perturbed(torch, name, self.constructed[name], name in parameters)
        if self.exact is not None:
            self._copy_weights(self.exact)
        _store(torch, [t.data for t in self.state().values()], block)


def pairs_of_tensors(torch: Any, names: list[str], arguments: list[Any]) -> list[tuple[str, Any]]:
    """The arguments that are tensors, with their names."""
    return [(n, a) for n, a in zip(names, arguments, strict=True) if isinstance(a, torch.Tensor)]


def weights_of(model: Any) -> bool:
    """Whether a reference is a module with state."""
    return hasattr(model, "state_dict") and bool(model.state_dict())


def spec_of(name: str, tensor: Any) -> TensorSpec:
    """The layout of a torch tensor; raises ValueError for types that no candidate can receive."""
    from_name = str(tensor.dtype).removeprefix("torch.")
    data = {"name": name, "dtype": from_name, "shape": list(tensor.shape), "strides": list(tensor.stride())}
    return TensorSpec.from_json(data)


def _perturbed(torch: Any, name: str, tensor: Any, is_parameter: bool) -> Any:
    if not tensor.is_floating_point():
        return tensor
    if is_parameter:
        spread = 0.3 * float(tensor.double().std(correction=0)) or 0.3
        return tensor + spread * torch.randn(tensor.shape).to(tensor.dtype)
    if name.endswith("running_var"):
        usual = 0.5 + 1.5 * torch.rand(tensor.shape)
        return torch.where(torch.rand(tensor.shape) < _SMALL_VARIANCES, 1e-4 * usual, usual).to(tensor.dtype)
    if name.endswith("running_mean"):
        return 0.3 * torch.randn(tensor.shape).to(tensor.dtype)
    return tensor


def _nudged(torch: Any, value: Any) -> Any:
    """Every element moved by at most one unit in the last place: the change that any input's rounding makes."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return value
    wide = value.double()
    return wide * (1.0 + torch.finfo(value.dtype).eps * (2.0 * torch.rand_like(wide) - 1.0))


def _store(torch: Any, tensors: list[Any], block: mmap.mmap) -> None:
    placement = Placement.pack(spec_of("", t) for t in tensors)
    for tensor, target in zip(tensors, _load(torch, placement, block), strict=True):
        target.copy_(tensor)


def _load(torch: Any, placement: Placement, block: mmap.mmap) -> list[Any]:
    """The tensors of a block, as views of it."""
    views = []
    for spec, offset in zip(placement.specs, placement.offsets, strict=True):
        dtype = getattr(torch, spec.dtype.value)
        if spec.numel == 0:
            views.append(torch.empty(spec.shape, dtype=dtype))
            continue
        flat = torch.frombuffer(block, dtype=dtype, count=spec.span_bytes // spec.dtype.size_bytes, offset=offset)
        views.append(torch.as_strided(flat, spec.shape, spec.strides))
    return views


def _is_dense(tensor: Any) -> bool:
    """Whether the strides address every element of the span once (permuted, not expanded or sliced)."""
    spec = spec_of("", tensor)
    return spec.numel == 0 or spec.span_bytes == spec.data_bytes


def _same_bits(torch: Any, a: Any, b: Any) -> bool:
    if a.is_floating_point():
        return bool(torch.equal(torch.nan_to_num(a), torch.nan_to_num(b)))
    return bool(torch.equal(a, b))


def _task_frames(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    root = "/scratch/source/"
    own = [f"{f.filename.removeprefix(root)}:{f.lineno}" for f in frames if f.filename.startswith(root)]
    return own[-1] if own else ""
