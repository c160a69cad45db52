"""How many elements and multiply-adds a call of a KernelBench program takes, estimated from its text alone.

One layer's cost is a formula; a network's is that of its layers' call sites at the input's resolution, divided by four
because resolutions fall as widths rise. Good to a factor of about ten, which halving sizes forgives.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping

from assay.tasks.size_constants import Dimension, ProgramSizes, whole_number
from assay.tasks.source_reading import PythonFacts

MAX_ELEMENTS = 2**22
"""Input elements of a scaled task: 16 MiB in float32, beyond the second-level cache and yet quick to draw and check."""

MAX_WORK = 2**27
"""Multiply-adds of a scaled task: 2 to 20 ms on two cores, by how well the operation is implemented."""

_RECURRENT = frozenset({"LSTM", "GRU", "RNN", "LSTMCell", "GRUCell", "RNNCell"})
_DENSE = frozenset({"Linear", "Bilinear", "MultiheadAttention", "TransformerEncoderLayer"})
_PRODUCTS = frozenset({"matmul", "bmm", "mm", "einsum", "scaled_dot_product_attention", "baddbmm", "addmm"})

# Measured with PyTorch 2.13 on two cores: multiply-adds per second against a plain 2-D convolution's 30 G/s.
_SLOWNESS = {"ConvTranspose3d": 16, "ConvTranspose2d": 4, "ConvTranspose1d": 4, "Conv3d": 4, "MaxPool2d": 8}
_SLOWNESS |= {"MaxPool3d": 16, "LSTM": 8, "GRU": 8, "RNN": 8}

_UNKNOWN_WIDTH = 64
"""Width of a layer whose arguments are variables of the code: the first stage of most image networks."""


class CostModel:
    """Elements and multiply-adds of a call, as functions of the program's constants."""

    def __init__(self, program: ProgramSizes, facts: PythonFacts) -> None:
        self._program = program
        nodes = [node for body in facts.classes.values() for node in ast.walk(body)]
        self._calls = {id(node): node for node in nodes if isinstance(node, ast.Call)}
        names = [_called_name(call) for call in self._calls.values()]
        self.layers = [call for call in self._calls.values() if _is_layer(_called_name(call))]
        self.has_convolution = any("Conv" in name or "Pool" in name for name in names)
        self.transposed = any("ConvTranspose" in name for name in names)
        multiplies = any(isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult) for node in nodes)
        self._product = multiplies or any(name in _PRODUCTS or name == "MultiheadAttention" for name in names)
        if not self.layers and self._product and len(program.shapes) == 1:
            self.layers = [ast.Call(ast.Name("matmul"), [], [])]  # a product with a parameter of the module's own
        self.has_layer_norm = "LayerNorm" in names or "layer_norm" in names
        self._slowness = max((_SLOWNESS.get(name, 1) for name in names), default=1)

    def too_large(self, sizes: Mapping[str, int]) -> bool:
        """Whether the program exceeds a budget with these sizes."""
        elements = [math.prod(d.size(sizes) for d in shape) for shape in self._program.shapes]
        return sum(elements) > MAX_ELEMENTS or self._work(sizes, elements) > MAX_WORK

    def _work(self, sizes: Mapping[str, int], elements: list[int]) -> float:
        shapes = self._program.shapes
        if not shapes:
            return 0.0
        if self._product and len(shapes) > 1 and not self.layers:
            return elements[0] * elements[1] / _contracted(shapes[0], shapes[1], sizes)
        window = self._window(sizes)
        if not self.layers:
            return float(max(elements)) * window * self._slowness
        own = self._own_feature().size(sizes)
        positions = elements[0] / own
        work = positions * self._position_cost(sizes, own) * window * self._program.repeats * self._slowness
        if self._product:
            batch = shapes[0][0].size(sizes)
            work += positions * positions / batch * own
        return work

    def _own_feature(self) -> Dimension:
        """The dimension of the first input that the first layer mixes."""
        shape = self._program.shapes[0]
        return shape[1 if self.has_convolution and len(shape) > 1 else -1]

    def _position_cost(self, sizes: Mapping[str, int], own: int) -> float:
        """Multiply-adds for each position of the input: width times width for every layer."""
        network = len(self.layers) >= 4
        first = {d.label for d in self._program.shapes[0]}
        others = {label for label in self._program.init_labels - first if network or "class" not in label}
        widths = sorted([sizes[label] for label in others if sizes[label] >= 16] + [own], reverse=True)
        if len(widths) > 1:
            known = widths[0] * (widths[1] if len(self.layers) == 1 else (widths[0] + widths[1]) / 2)
        else:
            known = float(own * (own if len(self.layers) == 1 else _UNKNOWN_WIDTH))
        unknown = max(known, float(_UNKNOWN_WIDTH**2)) if network else known
        costs = [_literal_cost(call) or unknown * _literal_window(call) for call in self.layers]
        return sum(costs) / (4 if network else 1)

    def _window(self, sizes: Mapping[str, int]) -> int:
        """Elements of the window that a convolution or a pooling looks at."""
        kernels = [c for c in self._program.constants.values() if c.name.startswith("kernel")]
        spatial = max((len(shape) - 2 for shape in self._program.shapes), default=0)
        if len(kernels) == 1 and kernels[0].label == kernels[0].name:
            return int(sizes[kernels[0].label] ** max(spatial, 0))
        return math.prod(sizes[c.label] for c in kernels)


def _called_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)


def _is_layer(name: str) -> bool:
    return name.startswith("Conv") or name in _DENSE or name in _RECURRENT


def _literal_cost(call: ast.Call) -> float:
    """Width times width times window of a layer whose widths are literals, 0 where they are not."""
    widths = [whole_number(argument) for argument in call.args[:2]]
    if len(widths) < 2 or widths[0] is None or widths[1] is None:
        return 0.0
    return float(widths[0] * widths[1] * _literal_window(call))


def _literal_window(call: ast.Call) -> int:
    """Elements of a two-dimensional window that a layer's call spells as a literal, 1 where it does not."""
    kernel = whole_number(call.args[2]) if len(call.args) > 2 else None
    for word in call.keywords:
        kernel = whole_number(word.value) if word.arg == "kernel_size" else kernel
    return (kernel or 1) ** 2


def _contracted(left: tuple[Dimension, ...], right: tuple[Dimension, ...], sizes: Mapping[str, int]) -> float:
    """What two factors share once: the leading dimensions in the same place, and the smallest of the others."""
    leading = [a for a, b in zip(left[:-2], right[:-2], strict=False) if a.label is not None and a.label == b.label]
    labels = {d.label for d in right} - {d.label for d in leading}
    others = [d.size(sizes) for d in left if d.label is not None and d.label in labels]
    return float(math.prod(d.size(sizes) for d in leading) * min(others, default=1))
