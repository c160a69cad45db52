"""A task program (docs/task-format.md), loaded: the reference in its own type and in float64, weights and inputs."""

from __future__ import annotations

import inspect
import json
import sys
from functools import partial
from typing import Any

from assay.referee.correctness import families
from assay.referee.processes.jumps import distance
from assay.referee.processes.loading import flatten, import_sources
from assay.referee.processes.tensors import is_dense, spec_of

_SMALL_VARIANCES = 0.1
"""Share of channels whose variance is so small that a forgotten epsilon of 1e-5 shows."""
_FAR_ENOUGH = 2.0**-20
"""Of a tensor's root mean square: eight units of float32, for sums of differing order differ by one or two.
A million activations come nearer than that 0.8 times on average, so that some draws must be tried."""
_DRAWS, _DRAWS_OF_FAMILIES = 24, 4
"""Where none is far enough, the best of them serves. Other families sit on the kinks on purpose, or never do."""


class Reference:
    """The reference, and how its weights and inputs are drawn. `exact` is None until `exact_works` finds one."""

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
                "jumps", "error_factor", "error_reason")  # fmt: skip
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

    def exact_works(self, arguments: list[Any]) -> str:
        """Why there is no float64 oracle, or an empty string where there is one."""
        try:
            self.exact = self._exact_model()
            wide = flatten(self.torch, self.run_exact(arguments))
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

    def run_exact(self, arguments: list[Any]) -> Any:
        """The float64 model's results."""
        wide = [a.double() if isinstance(a, self.torch.Tensor) and a.is_floating_point() else a for a in arguments]
        with self.torch.no_grad():
            return self.exact(*wide)

    def draw_decided(self, axes: dict[str, int], seed: int, family: str) -> list[Any]:
        """Inputs; of several where the outputs jump, the first on which rounding decides nothing. Fixed by the seed."""
        if not self.declared.get("jumps") or self.exact is None:
            return self.draw_arguments(axes, seed, family)
        best: tuple[float, list[Any]] | None = None
        for number in range(_DRAWS if family == families.OWN else _DRAWS_OF_FAMILIES):
            arguments = self.draw_arguments(axes, (seed + number) % 2**63, family)
            far = distance(partial(self.run_exact, arguments))
            if best is None or far > best[0]:
                best = far, arguments
            if far >= _FAR_ENOUGH:
                break
        assert best is not None
        return best[1]

    def draw_arguments(self, axes: dict[str, int], seed: int, family: str) -> list[Any]:
        """The arguments of forward for a seed."""
        torch = self.torch
        torch.manual_seed(seed)
        drawn = list(self.get_inputs(**axes))
        arguments = [a.detach() if isinstance(a, torch.Tensor) else a for a in drawn]
        for index, value in enumerate(arguments):
            if isinstance(value, torch.Tensor):
                arguments[index] = value if is_dense(value) else value.contiguous()
            elif not isinstance(value, (bool, int, float)):
                raise TypeError(f"get_inputs must return tensors and numbers; item {index} is {type(value).__name__}")
        domains = self.declared.get("domains", {})
        names = self.argument_names(len(arguments))
        return [families.transform(torch, a, domains.get(n, "real"), family) if isinstance(a, torch.Tensor) else a
                for n, a in zip(names, arguments, strict=True)]  # fmt: skip

    def argument_names(self, count: int) -> list[str]:
        """Of forward's first `count` arguments."""
        function = self.model.forward if hasattr(self.model, "forward") else self.model
        names = [p.name for p in inspect.signature(function).parameters.values()][:count]
        return names + [f"input{i}" for i in range(len(names), count)]

    def run(self, arguments: list[Any], run_seed: int) -> list[Any]:
        """The results in the task's own type."""
        if run_seed:
            self.torch.manual_seed(run_seed)
        with self.torch.no_grad():
            return flatten(self.torch, self.model(*arguments))

    def draw_weights(self, seed: int, parameters_only: bool) -> None:
        """Perturb every weight: a bug in an affine parameter shows only where gamma is not 1 and beta not 0."""
        if not weights_of(self.model):
            return
        torch = self.torch
        torch.manual_seed(seed)
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        for name, mine in self.state().items():
            if name in parameters or not parameters_only:
                mine.data = _perturbed(torch, name, self.constructed[name], name in parameters)
        if self.exact is not None:
            self._copy_weights(self.exact)


def weights_of(model: Any) -> bool:
    """Whether a reference is a module with state."""
    return hasattr(model, "state_dict") and bool(model.state_dict())


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
