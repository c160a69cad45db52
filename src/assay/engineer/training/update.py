"""An optimiser's update as a task: one pass over all parameters, which lie one after the other in flat memory.

The formulas are those of torch.optim (version 2.11 and later), in its order of operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.core.sources import SourceFile, Task, TaskFormat
from assay.engineer.training.gradients import Gradients
from assay.engineer.training.memory import flat_size
from assay.errors import InputError

_FILE = "update.py"

_TEXT = '''"""{name}, over all parameters at once."""

import torch
from torch import nn

TASK = {{"domains": {domains}}}


class Model(nn.Module):
    def forward(self, {arguments}):
{body}


def get_inputs():
    return [{inputs}]
'''

_SGD = ["gradient = gradient + {decay} * parameter", "momentum = momentum * {momentum} + gradient",
        "return parameter - rate * {direction}, momentum"]  # fmt: skip
_PLAIN_SGD = ["gradient = gradient + {decay} * parameter", "return parameter - rate * gradient"]
_ADAM = [
    "{decayed}",
    "mean = mean + (gradient - mean) * {1 - beta1}",
    "square = square * {beta2} + gradient * gradient * {1 - beta2}",
    "return parameter - step_size * (mean / (square.sqrt() / root + {eps})), mean, square",
]


@dataclass(frozen=True, slots=True)
class Update:
    """The task takes parameter, gradient and `slots` (flat, of one size), then numbers; it returns the new parameter
    and slots.

    `numbers(step, rate)` are those of the step'th step, counted from 1, at a learning rate. `settings` are what the
    formula holds: where the optimiser's own no longer agree, the update does not serve.
    """

    task: Task
    slots: tuple[str, ...]
    settings: Mapping[str, Any]
    numbers: Callable[[int, float], list[float]]


def update_of(optimizer: Any, size: int) -> Update:
    """The update of a torch.optim SGD, Adam or AdamW over `size` elements.

    Raises InputError for any other optimiser, for several parameter groups, and for options that are not covered.
    """
    kind = type(optimizer).__name__
    if type(optimizer).__module__.split(".")[:2] != ["torch", "optim"] or kind not in _MAKERS:
        raise _refused("the optimiser is not covered", kind, f"torch.optim's {', '.join(_MAKERS)}")
    if len(optimizer.param_groups) != 1:
        raise _refused("the optimiser has several parameter groups", str(len(optimizer.param_groups)), "one group")
    settings = settings_of(optimizer)
    unusual = [name for name in ("amsgrad", "maximize", "dampening", "differentiable") if settings.get(name)]
    if unusual:
        raise _refused("an option of the optimiser is not covered", ", ".join(unusual), "its default")
    return _MAKERS[kind](settings, size, kind)


def update_for(gradients: Gradients, model: Any, optimizer: Any) -> Update:
    """The update of all that `gradients` are of, as it lies in flat memory. Raises as `update_of` does."""
    return update_of(optimizer, flat_size([model.get_parameter(name) for name in gradients.parameters]))


def settings_of(optimizer: Any) -> dict[str, Any]:
    """What a formula holds: all options but the learning rate, which may change from step to step."""
    group = optimizer.param_groups[0]
    return {
        name: value for name, value in group.items() if name not in ("params", "lr", "initial_lr", "foreach", "fused")
    }


def _sgd(settings: Mapping[str, Any], size: int, kind: str) -> Update:
    momentum, decay = float(settings["momentum"]), float(settings["weight_decay"])
    values = {"decay": repr(decay), "momentum": repr(momentum),
              "direction": f"(gradient + {momentum!r} * momentum)" if settings["nesterov"] else "momentum"}  # fmt: skip
    slots = ("momentum_buffer",) if momentum else ()
    body = _filled(_SGD if momentum else _PLAIN_SGD, values)[0 if decay else 1 :]
    names = ["momentum"] if momentum else []
    task = _task(kind, size, names, {"rate": 0.01}, body)
    return Update(task, slots, dict(settings), lambda _step, rate: [rate])


def _adam(settings: Mapping[str, Any], size: int, kind: str) -> Update:
    beta1, beta2 = (float(beta) for beta in settings["betas"])
    decay = float(settings["weight_decay"])
    apart = kind == "AdamW" or bool(settings.get("decoupled_weight_decay"))
    decayed = (
        f"parameter = parameter * (1.0 - rate * {decay!r})" if apart else f"gradient = gradient + {decay!r} * parameter"
    )
    values = {"decayed": decayed, "1 - beta1": repr(1 - beta1), "beta2": repr(beta2), "1 - beta2": repr(1 - beta2),
              "eps": repr(float(settings["eps"]))}  # fmt: skip
    body = _filled(_ADAM, values)[0 if decay else 1 :]
    example = {"rate": 0.001, "step_size": 0.002, "root": 0.5} if decay and apart else {"step_size": 0.002, "root": 0.5}

    def numbers(step: int, rate: float) -> list[float]:
        found = {"rate": rate, "step_size": rate / (1 - beta1**step), "root": (1 - beta2**step) ** 0.5}
        return [found[name] for name in example]

    task = _task(kind, size, ["mean", "square"], example, body)
    return Update(task, ("exp_avg", "exp_avg_sq"), dict(settings), numbers)


_MAKERS = {"SGD": _sgd, "Adam": _adam, "AdamW": _adam}


def _filled(lines: list[str], values: Mapping[str, str]) -> list[str]:
    found = []
    for line in lines:
        for name, value in values.items():
            line = line.replace("{" + name + "}", value)
        found.append(line)
    return found


def _task(kind: str, size: int, slots: list[str], numbers: Mapping[str, float], body: list[str]) -> Task:
    draws = ["torch.randn({n}) * 0.1", "torch.randn({n}) * 0.01"]
    draws += ["torch.rand({n}) * 0.01" if name == "square" else "torch.randn({n}) * 0.01" for name in slots]
    text = _TEXT.format(
        name=kind,
        domains={"square": "positive"} if "square" in slots else {},
        arguments=", ".join(["parameter", "gradient", *slots, *numbers]),
        body="\n".join("        " + line for line in body),
        inputs=", ".join([*(draw.format(n=size) for draw in draws), *(repr(value) for value in numbers.values())]),
    )
    return Task(f"{kind}_update", TaskFormat.PLAIN, (SourceFile(_FILE, text),), f"{_FILE}:Model")


def _refused(what: str, value: str, rule: str) -> InputError:
    return InputError(what, value=value, rule=rule, next_step="train without --train's update: see docs/training.md")
