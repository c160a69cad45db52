"""The same network as an ONNX model, written with the `onnx` package from the intermediate form.

Vectors are [n, features], everything else is [n, channels, height, width]; a series is of height 1.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from assay.errors import MachineError
from assay.export.network import (
    Activation,
    Add,
    Array,
    Conv,
    Kind,
    Layer,
    Network,
    Pool,
    PoolKind,
    Shape,
    Softmax,
    Window,
)

OPSET = 19
"""The first that pads by wrapping around."""
_IR_VERSION = 9
"""What came with that opset, so that every runtime that has it reads the file."""
_ACTIVATIONS = {Kind.RELU: "Relu", Kind.LEAKY_RELU: "LeakyRelu", Kind.SIGMOID: "Sigmoid", Kind.TANH: "Tanh"}


def write_onnx(network: Network, name: str = "model") -> bytes:
    """The file's content. Raises MachineError without the onnx package."""
    return _Writer(network, name).content()


def run_onnx(content: bytes, inputs: Array, network: Network) -> Array:
    """Outputs [n, ...] of onnx's own reference implementation for float32 inputs [n, ...]."""
    evaluator = _onnx("onnx.reference").ReferenceEvaluator(content)
    shaped = np.asarray(inputs, np.float32).reshape(len(inputs), *_dimensions(network.takes))
    found: Array = np.asarray(evaluator.run(None, {"input": shaped})[0])
    return found


def _onnx(name: str = "onnx") -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MachineError("the onnx package is missing", value=str(error), rule="ONNX files are written with it",
                           next_step='pip install "assay[onnx]"') from error  # fmt: skip


def _dimensions(shape: Shape) -> tuple[int, ...]:
    return shape[:1] if shape[1:] == (1, 1) else shape


class _Writer:
    def __init__(self, network: Network, name: str) -> None:
        self._network, self._name, self._onnx = network, name, _onnx()
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._names = ["input"]

    def content(self) -> bytes:
        helper, kinds = self._onnx.helper, self._onnx.TensorProto
        for number, layer in enumerate(self._network.layers, 1):
            self._names.append(self._activated(layer, self._layer(number, layer)))
        output, kind, shape = self._names[-1], kinds.FLOAT, ("n", *_dimensions(self._network.output))
        if self._network.decides:
            output, kind, shape = self._decision(output), kinds.INT64, ("n",)
        output = self._node("Identity", [output], output="output")
        graph = helper.make_graph(
            self._nodes, self._name,
            [helper.make_tensor_value_info("input", kinds.FLOAT, ("n", *_dimensions(self._network.takes)))],
            [helper.make_tensor_value_info(output, kind, shape)], self._constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="assay")
        model.ir_version = _IR_VERSION
        self._onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString()
        return content

    def _node(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        output = str(attributes.pop("output", f"{kind.lower()}_{len(self._nodes)}"))
        self._nodes.append(self._onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, array: Array) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _layer(self, number: int, layer: Layer) -> str:
        x = self._shaped(layer.sources[0], layer.takes)
        match layer.operation:
            case Conv() as conv:
                return self._convolution(number, layer, conv, x)
            case Pool(kind=kind, window=window):
                if window.is_point:
                    return x
                name = "MaxPool" if kind is PoolKind.MAX else "AveragePool"
                found = self._node(name, [self._spatial(x, layer.takes)], **_attributes(window))
                return self._flat(found, layer.shape)
            case Add():
                return self._node("Add", [x, self._shaped(layer.sources[1], layer.takes)])
            case Softmax():
                return self._node("Softmax", [x], axis=1)

    def _convolution(self, number: int, layer: Layer, conv: Conv, x: str) -> str:
        is_vector = layer.takes[1:] == (1, 1) and conv.window.is_point
        if is_vector and conv.groups == 1:
            weight, bias = self._constant(conv.weight[:, :, 0, 0]), self._constant(conv.bias)
            return self._node("Gemm", [x, weight, bias], transB=1)
        if is_vector and conv.scales_channels:
            scaled = self._node("Mul", [x, self._constant(conv.weight.reshape(1, -1))])
            return self._node("Add", [scaled, self._constant(conv.bias.reshape(1, -1))])
        x, window = self._spatial(x, layer.takes), conv.window
        if window.is_padded and window.circular:
            edges = np.array([0, 0, *window.padding] * 2, np.int64)
            x = self._node("Pad", [x, self._constant(edges)], mode="wrap")
            window = Window(window.size, window.stride, (0, 0), window.dilation)
        inputs = [x, self._constant(conv.weight), self._constant(conv.bias)]
        return self._flat(self._node("Conv", inputs, group=conv.groups, **_attributes(window)), layer.shape)

    def _activated(self, layer: Layer, x: str) -> str:
        activation: Activation | None = layer.activation
        if activation is None:
            return x
        slope = {"alpha": activation.slope} if activation.kind is Kind.LEAKY_RELU else {}
        return self._node(_ACTIVATIONS[activation.kind], [x], **slope)

    def _decision(self, x: str) -> str:
        if self._network.output[0] > 1:
            return self._node("ArgMax", [x], axis=1, keepdims=0)
        above = self._node("Greater", [x, self._constant(np.zeros((), np.float32))])
        number = self._node("Cast", [above], to=self._onnx.TensorProto.INT64)
        return self._node("Reshape", [number, self._constant(np.array([-1], np.int64))])

    def _shaped(self, source: int, takes: Shape) -> str:
        if self._network.shape(source) == takes:
            return self._names[source]
        return self._reshaped(self._names[source], _dimensions(takes))

    def _spatial(self, x: str, shape: Shape) -> str:
        return self._reshaped(x, shape) if shape[1:] == (1, 1) else x

    def _flat(self, x: str, shape: Shape) -> str:
        return self._reshaped(x, shape[:1]) if shape[1:] == (1, 1) else x

    def _reshaped(self, x: str, shape: tuple[int, ...]) -> str:
        return self._node("Reshape", [x, self._constant(np.array([-1, *shape], np.int64))])


def _attributes(window: Window) -> dict[str, list[int]]:
    return {"kernel_shape": [*window.size], "strides": [*window.stride], "pads": [*window.padding] * 2,
            "dilations": [*window.dilation]}  # fmt: skip
