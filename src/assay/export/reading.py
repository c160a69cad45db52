"""From an nn.Module to a network: torch.export's graph, its constants computed and its operators looked up by name.

Guaranteed: an operator that is not known is refused by name. Not guaranteed here: that the network computes what the
module does; `checking` compares the two on data, as it does in every export.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from assay.errors import InputError
from assay.export.network import Layer, Network, Pool, PoolKind, Window
from assay.export.operators import READERS, Arguments, Value, shape_of, unknown_operator
from assay.sparse.convolution import SparseConv2d
from assay.sparse.linear import BlockSparseLinear
from assay.sparse.unstructured import SparseLinear

_NEUTRAL = (
    "_assert_tensor_metadata",
    "dropout",
    "alias",
    "contiguous",
    "clone",
    "detach",
    "detach_",
    "to",
    "feature_dropout",
)
"""Operators that change no number of a network in eval mode."""


def read_network(model: nn.Module, example: Tensor) -> Network:
    """The network of a module, which is left in eval mode, from one example [n, ...].

    Raises InputError for a module that cannot be traced, does not take one tensor, or has an operator that is unknown.
    """
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            dense = _with_dense_layers(_copied(model.eval(), example[:1])).float()
            program = torch.export.export(dense, (example[:1].float(),))
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:400]
        raise InputError(
            "the model cannot be traced", value=said,
            rule="forward(x) computes on one float tensor [n, ...], without branches that depend on its values",
            next_step="make torch.export.export(model, (x,)) accept it",
        ) from error  # fmt: skip
    return _Reader(program, tuple(example.shape[1:])).read()


def _copied(model: nn.Module, example: Tensor) -> nn.Module:
    try:
        return copy.deepcopy(model)
    except RuntimeError:
        # A hook that computes a weight, as torch's pruning has it, left one with its graph; under no_grad it has none.
        model(example)
        return copy.deepcopy(model)


def _with_dense_layers(model: nn.Module) -> nn.Module:
    """The model with ordinary layers in the places of Assay's sparse ones; zeros stay zeros."""
    for name, module in list(model.named_modules()):
        if isinstance(module, BlockSparseLinear | SparseLinear | SparseConv2d):
            dense = module.to_conv2d() if isinstance(module, SparseConv2d) else module.to_linear()
            if not name:
                return dense
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, dense)
    return model


class _Reader:
    """Walks the graph; `_values` maps its nodes to network values, constant tensors and numbers."""

    def __init__(self, program: Any, shape: tuple[int, ...]) -> None:
        self._program, self._input = program, Value(0, shape)
        self._values: dict[fx.Node, Any] = {}
        self._layers: list[Layer] = []
        self._decides = False

    def read(self) -> Network:
        signature = self._program.graph_signature
        names = {**signature.inputs_to_parameters, **signature.inputs_to_buffers,
                 **signature.inputs_to_lifted_tensor_constants}  # fmt: skip
        state = {**self._program.constants, **self._program.state_dict}
        for node in self._program.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = state[names[node.name]] if node.name in names else self._input
            elif node.op == "call_function":
                self._values[node] = self._call(node)
        output = self._program.graph.output_node()
        return self._finish([self._values[node] for node in output.all_input_nodes])

    def _call(self, node: fx.Node) -> Any:
        """A node's value: computed now where all that it needs is constant."""
        target: Any = node.target
        given = fx.map_arg(node.args, lambda each: self._values[each])
        named = fx.map_arg(node.kwargs, lambda each: self._values[each])
        name = str(getattr(target, "_opname", target))
        if not any(isinstance(self._values[each], Value) for each in node.all_input_nodes):
            return None if name == "_assert_tensor_metadata" else target(*given, **named)
        if self._decides:
            raise InputError("the model goes on after its argmax", value=name, rule="argmax is the last operator")
        if name in _NEUTRAL:
            return given[0]
        return self._read(node, name, self._bound(target, given, named))

    def _read(self, node: fx.Node, name: str, arguments: Arguments) -> Value:
        shape = tuple(int(size) for size in node.meta["val"].shape)
        if name == "argmax":
            self._decides = True
            return Value(arguments["self"].number, arguments["self"].shape)
        if shape[:1] != (1,):
            raise InputError("an operator mixes the examples of a batch", value=f"{name} to {list(shape)}",
                             rule="the first axis stays the batch")  # fmt: skip
        reader = READERS.get(name.removesuffix("_"))
        if reader is None:
            raise unknown_operator(name)
        found = reader(arguments, shape[1:])
        if isinstance(found, Layer):
            self._layers.append(found)
            found = Value(len(self._layers), shape[1:])
        if name.endswith("_"):  # in place: who reads the old name afterwards sees the new value
            self._values[node.all_input_nodes[0]] = found
        return found

    @staticmethod
    def _bound(target: Any, given: Any, named: Any) -> Arguments:
        """The arguments by their names in the operator's schema, defaults included."""
        known = {each.name: each.default_value for each in target._schema.arguments}
        return Arguments(target._opname, {**known, **dict(zip(known, given, strict=False)), **named})

    def _finish(self, outputs: list[Any]) -> Network:
        if len(outputs) != 1 or not isinstance(outputs[0], Value):
            raise InputError("the model has not one output that depends on its input", value=f"{len(outputs)} outputs",
                             rule="forward(x) returns one tensor")  # fmt: skip
        if outputs[0].number != len(self._layers) or not self._layers:
            source = outputs[0]
            self._layers.append(Layer(Pool(PoolKind.MAX, Window()), (source.number,), shape_of(source.shape)))
        network = Network(shape_of(self._input.shape), tuple(self._layers), self._decides)
        return _without_unused(_with_activations(network))


def _with_activations(network: Network) -> Network:
    """Activations that stand alone become part of the layer before, where nothing else uses it."""
    for value, layer in enumerate(network.layers, 1):
        source = layer.sources[0]
        alone = isinstance(layer.operation, Pool) and layer.operation.window.is_point and layer.activation is not None
        if alone and source and network.users(source) == [value] and network.layers[source - 1].activation is None:
            before = replace(network.layers[source - 1], activation=layer.activation)
            layers = [*network.layers[: source - 1], before, *network.layers[source:]]
            return _with_activations(_without(replace(network, layers=tuple(layers)), value, source))
    return network


def _without_unused(network: Network) -> Network:
    for value in range(1, len(network.layers)):
        if not network.users(value):
            return _without_unused(_without(network, value, 0))
    return network


def _without(network: Network, value: int, instead: int) -> Network:
    """The network without the layer that makes a value; its users take another one."""

    def moved(source: int) -> int:
        return instead if source == value else source - (source > value)

    left = [layer for number, layer in enumerate(network.layers, 1) if number != value]
    return replace(network, layers=tuple(replace(one, sources=tuple(map(moved, one.sources))) for one in left))
