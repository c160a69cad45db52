"""Sparse or dense? Each layer takes the product that was faster on this machine, measured on the layer's own operands.

The first call at a number of rows (up to the next power of two) times three products in turns: the sparse kernel,
PyTorch's dense product, and oneDNN's with a prepacked weight (inference only). What wins is kept in `choices`. Dense
products of inference keep a dense copy of the weight, made again when the values change; a change through `.data`,
which PyTorch does not count, is seen only where it moves the values. Compilers, tracers and modes always get the sparse
product.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from assay.sparse import choices, functional, reference
from assay.sparse.layout import BlockLayout
from assay.sparse.operators import KINDS

SPARSE, DENSE, PREPACKED = "sparse", "dense", "dense, prepacked"
_ROUNDS = 7
_WINDOW_S = 0.002
"""Calls are repeated up to it: the smallest of seven windows repeats to 1 % on a quiet machine, of calls to 10 %."""
_LONGEST_S = 0.3
"""Rounds end here at the latest, after the second."""
_KEEP_SPARSE = 1.01
"""Dense has to win by more: below it the difference is noise, and sparse needs less memory."""
_MOST_READY = 1024
"""Shapes that are remembered: sequences of every length would fill memory otherwise."""

Product = Callable[[Tensor, Tensor, BlockLayout, Tensor | None], Tensor]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which product is taken at one number of rows, and the seconds of all that were compared."""

    taken: str
    seconds: dict[str, float]
    measured_now: bool

    def words(self) -> str:
        """A sentence."""
        times = ", ".join(f"{name} {1e3 * value:.3g} ms" for name, value in self.seconds.items())
        why = "" if self.taken == SPARSE else " (falls back: the zeros do not pay here)"
        return f"{self.taken}{why}: {times}{'' if self.measured_now else ', as measured before on this machine'}"


class Chooser:
    """The choices of one layer, and the dense weights that they need."""

    def __init__(self) -> None:
        self.choices: dict[tuple[Any, ...], Choice] = {}
        self._ready: dict[tuple[Any, ...], Product] = {}
        self._weights: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Chooser:
        copied = Chooser()
        copied.choices = dict(self.choices)
        return copied

    def __getstate__(self) -> dict[str, Any]:
        return {"choices": self.choices, "_ready": {}, "_weights": {}}

    def product(self, x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None) -> Tensor:
        """x [..., in_features] to [..., out_features], as `functional.block_sparse_mm`."""
        training = torch.is_grad_enabled() and (
            x.requires_grad or values.requires_grad or (bias is not None and bias.requires_grad)
        )
        seen = (x.shape, x.dtype, x.is_cpu, training, values.dtype, torch.get_num_threads())
        product = self._ready.get(seen)
        if product is None:
            if len(self._ready) >= _MOST_READY:
                self._ready.clear()
            product = self._ready[seen] = self._prepare(x, values, layout, bias, training)
        if x.dim() == 2:
            return product(x, values, layout, bias)
        return product(x.reshape(-1, x.shape[-1]), values, layout, bias).view(*x.shape[:-1], layout.out_features)

    def _prepare(self, x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None, training: bool) -> Product:
        """What such calls take from now on."""
        if not x.is_cpu or x.dtype not in KINDS or x.dtype != values.dtype or not x.numel() or not layout.blocks:
            return functional.block_sparse_mm
        functional.check_operands(x, values, layout, bias)
        rows = x.numel() // layout.in_features
        key = (layout.blocks, 1 << (rows - 1).bit_length(), x.dtype, training, torch.get_num_threads())
        if key not in self.choices:
            self.choices[key] = self._choose(key, x, values, layout, bias)
        return self._products(training)[self.choices[key].taken]

    def layout_changed(self) -> None:
        """Choose again: another number of blocks may pay differently."""
        self._ready.clear()
        self._weights.clear()

    def explain(self) -> str:
        """A line for each number of rows that has been met."""
        lines = [
            f"up to {key[1]} rows, {str(key[2]).removeprefix('torch.')}, {'training' if key[3] else 'inference'}, "
            f"{key[4]} threads: {choice.words()}"
            for key, choice in self.choices.items()
        ]
        return "\n".join(lines) or "not called yet: nothing has been chosen"

    def _products(self, training: bool) -> dict[str, Product]:
        if training:
            return {SPARSE: _sparse, DENSE: _dense_training}
        return {SPARSE: _sparse, DENSE: self._dense, PREPACKED: self._prepacked}

    def _choose(
        self, key: tuple[Any, ...], x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None
    ) -> Choice:
        _, rows, dtype, training, threads = key
        named = choices.key(layout, rows, dtype, training, threads)
        known = choices.find(named)
        names = self._products(training)
        if known is None or not set(known) <= set(names):
            known = self._measure(names, x.reshape(-1, layout.in_features), values, layout, bias, training)
            choices.keep(named, known)
            self._weights.clear()  # of the products that lost; who won makes its own again
            return Choice(_fastest(known), known, True)
        return Choice(_fastest(known), known, False)

    def _measure(
        self, products: dict[str, Product], x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None,
        training: bool,
    ) -> dict[str, float]:  # fmt: skip
        """Seconds of each product on these operands: the smallest of rounds in turns, after one that warms up."""
        if x.dtype != torch.float32 or not torch._C._has_mkldnn:
            products = {name: product for name, product in products.items() if name != PREPACKED}
        make = _training_call if training else _call
        calls = {name: make(product, x, values, layout, bias) for name, product in products.items()}
        clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
        started = time.perf_counter()
        repeats = {name: max(1, int(_WINDOW_S / max(_window(call, 1, clock), 1e-7))) for name, call in calls.items()}
        seconds = {name: float("inf") for name in calls}
        for turn in range(_ROUNDS):
            for name, call in calls.items():
                seconds[name] = min(seconds[name], _window(call, repeats[name], clock))
            if turn and time.perf_counter() - started > _LONGEST_S:
                break
        return seconds

    def _kept(self, name: str, values: Tensor, layout: BlockLayout, make: Callable[[Tensor], Any]) -> Any:
        version = None if values.is_inference() else values._version
        state = (version, values.data_ptr(), values.dtype, layout.columns.data_ptr())
        known = self._weights.get(name)
        if known is None or known[0] != state:
            with torch.no_grad():
                weight = reference.dense(values, list(layout.tensors), layout.out_features, layout.in_features)
                known = self._weights[name] = (state, make(weight.contiguous()))
        return known[1]

    def _dense(self, x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None) -> Tensor:
        return torch.nn.functional.linear(x, self._kept(DENSE, values, layout, lambda weight: weight), bias)

    def _prepacked(self, x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None) -> Tensor:
        library: Any = torch.ops.mkldnn
        rows = 1 << (x.shape[0] - 1).bit_length()
        weight = self._kept(
            f"{PREPACKED} for {rows}", values, layout, lambda weight: library._reorder_linear_weight(weight, rows)
        )
        y: Tensor = library._linear_pointwise(x, weight, bias, "none", [], "")
        return y


def _sparse(x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None) -> Tensor:
    return functional.product(x, values, list(layout.tensors), layout.out_features, bias)


def _dense_training(x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None) -> Tensor:
    weight = reference.dense(values, list(layout.tensors), layout.out_features, layout.in_features)
    return torch.nn.functional.linear(x, weight, bias)


def _fastest(seconds: dict[str, float]) -> str:
    best = min(seconds, key=lambda name: seconds[name])
    return SPARSE if seconds[SPARSE] <= _KEEP_SPARSE * seconds[best] else best


def _window(call: Callable[[], object], repeats: int, clock: Callable[[], float]) -> float:
    """Seconds of one of `repeats` calls, after one that warms up."""
    call()
    started = clock()
    for _ in range(repeats):
        call()
    return (clock() - started) / repeats


def _call(
    product: Product, x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None
) -> Callable[[], object]:
    return lambda: product(x, values, layout, bias)


def _training_call(
    product: Product, x: Tensor, values: Tensor, layout: BlockLayout, bias: Tensor | None
) -> Callable[[], object]:
    wanted = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in (x, values)]
    bias = None if bias is None else bias.detach()
    slope = x.new_ones(x.shape[0], layout.out_features)

    def step() -> object:
        y = product(wanted[0], wanted[1], layout, bias)
        asked = [tensor for tensor in wanted if tensor.requires_grad]
        return torch.autograd.grad(y, asked, slope) if asked else y

    return step
