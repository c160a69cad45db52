"""What goes into layers on calibration batches, in the form in which a layer's weights meet it.

A Linear's or a convolution's weight is seen as [groups, rows, columns], its inputs as [groups, samples, columns]: each
output is a row times a sample. Layers are visited in the order in which they run, and a later one sees what earlier
ones give after they were changed: one forward pass of the whole model for each layer and batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from assay.errors import InputError
from assay.pruning.masks import Mask
from assay.pruning.protocol import Data
from assay.pruning.weights import CONVOLUTIONS, LAYERS


def owners(model: nn.Module, mask: Mask) -> dict[str, nn.Module]:
    """The layers whose weights a mask names. Raises InputError for a parameter of any other kind."""
    found: dict[str, nn.Module] = {}
    for name in mask:
        path, _, kind = name.rpartition(".")
        module = model.get_submodule(path)
        if kind != "weight" or not isinstance(module, LAYERS):
            raise InputError("this method does not know the layer", value=f"{name} of {type(module).__name__}",
                             rule="weights of Linear, Conv1d, Conv2d and Conv3d",
                             next_step="leave it out with `names`, or choose magnitude")  # fmt: skip
        found[name] = module
    return found


def as_matrix(weight: Tensor, module: nn.Module) -> Tensor:
    """[groups, rows, columns] of a layer's weight; a view."""
    groups = getattr(module, "groups", 1)
    return weight.reshape(groups, weight.shape[0] // groups, -1)


def visit_inputs(
    model: nn.Module, data: Data, mask: Mask, batches: int, visit: Callable[[str, nn.Module, Iterator[Tensor]], None]
) -> None:
    """Call `visit(name, layer, inputs)` for each layer of a mask in the order of running; it may change the layer.

    `inputs` gives [groups, samples, columns] of one call of the layer at a time, computed as it is asked for.

    Raises InputError where the loss fails or does not call a layer.
    """
    layers = owners(model, mask)
    for name in _order(model, data, layers):
        visit(name, layers[name], _inputs(model, data, layers[name], batches))


@torch.no_grad()
def _order(model: nn.Module, data: Data, layers: dict[str, nn.Module]) -> Sequence[str]:
    ran: dict[str, None] = {}
    with contextlib.ExitStack() as stack:
        for name, module in layers.items():
            handle = module.register_forward_pre_hook(lambda _module, _inputs, name=name: ran.setdefault(name))
            stack.callback(handle.remove)
        data.loss_of(model, 0)
    for name in layers:
        if name not in ran:
            raise InputError("the loss does not call a layer", value=name, rule="calibration batches go through it",
                             next_step="leave it out with `names`")  # fmt: skip
    return list(ran)


@torch.no_grad()
def _inputs(model: nn.Module, data: Data, layer: nn.Module, batches: int) -> Iterator[Tensor]:
    for number in range(batches):
        seen: list[Tensor] = []
        handle = layer.register_forward_pre_hook(lambda _module, inputs, seen=seen: seen.append(inputs[0].detach()))
        try:
            data.loss_of(model, number)
        finally:
            handle.remove()
        for each in seen:
            yield unfold(each, layer)


def unfold(inputs: Tensor, layer: nn.Module) -> Tensor:
    """[groups, samples, columns]: what each output of a layer is computed from, columns in the weight's order."""
    if isinstance(layer, nn.Linear):
        return inputs.reshape(1, -1, layer.in_features)
    assert isinstance(layer, CONVOLUTIONS)
    dims = len(layer.kernel_size)
    if inputs.dim() == dims + 1:
        inputs = inputs.unsqueeze(0)
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    windows = functional.pad(inputs, layer._reversed_padding_repeated_twice, mode)
    for at, (size, step, apart) in enumerate(zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)):
        windows = windows.unfold(2 + at, (size - 1) * apart + 1, step)[..., ::apart]
    places = list(range(2, 2 + dims))
    taps = list(range(2 + dims, 2 + 2 * dims))
    samples = windows.permute(0, *places, 1, *taps)  # [batch, places, channels, taps]
    columns = layer.in_channels // layer.groups * samples[(0,) * (2 + dims)].numel()
    return samples.reshape(-1, layer.groups, columns).transpose(0, 1)
