"""A program's kernels as one Triton file with its launch plan.

Constants are compiled in, so every kernel is launched in one of a few variants that the plan chooses by the sizes: rows
short enough to be held and longer ones, sizes that 16 divides (the compiler then reads 16 bytes at once), and tensors
whose places need 64 bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import sympy

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.emit import IN_A_PLAN, size_places
from assay.engineer.codegen.finish import Finished, Step
from assay.engineer.codegen.fuse import Kernel, collapse
from assay.engineer.codegen.group import Group, buffers_of
from assay.engineer.codegen.index import Lookup, Loop, Size
from assay.engineer.codegen.program import Buffer, Convolution, Place, Product, Program, Spread, Unsupported
from assay.engineer.triton.alignment import even_sizes, kernel_steps
from assay.engineer.triton.attention import Attention
from assay.engineer.triton.attention_text import AttentionText
from assay.engineer.triton.convolutions import ConvolutionText
from assay.engineer.triton.elements import label
from assay.engineer.triton.fitting import fitting
from assay.engineer.triton.nest import Nest, cast, function
from assay.engineer.triton.operands import strided_steps
from assay.engineer.triton.products import Precision, ProductText
from assay.engineer.triton.schedule import Schedule
from assay.engineer.triton.source import DeviceSource, LaunchText, device_source
from assay.engineer.triton.text import size
from assay.engineer.triton.variants import Variant, variants
from assay.launch.plan import MOST_LAUNCHES, MOST_SCRATCH

Whole = Finished | Product | Attention | Convolution | Spread
"""Steps that have a text of their own."""
_NARROW = 1 << 31
"""Elements that a 32-bit place reaches."""
_ELEMENTS = {
    DType.FLOAT32: "fp32", DType.FLOAT64: "fp64", DType.FLOAT16: "fp16", DType.BFLOAT16: "bf16", DType.INT8: "i8",
    DType.INT16: "i16", DType.INT32: "i32", DType.INT64: "i64", DType.UINT8: "u8", DType.BOOL: "i1",
}  # fmt: skip
"""What a launch plan calls the types that pointers point to."""
_NUMBERS = "f64"
"""How forward's numbers are passed: as Python has them."""


def write(
    program: Program, steps: Sequence[Step | Attention], schedule: Schedule, precision: Precision = Precision.IEEE,
    named: dict[str, str] | None = None,
) -> DeviceSource:  # fmt: skip
    """The file for steps in order. `named` are sizes' expressions in a plan, for those that are no inputs' sizes.

    Raises Unsupported for steps that have no kernel here: convolutions, and what has no Triton.
    """
    return _File(program, steps, schedule, precision, named or {}).written()


class _File:
    """One file on its way."""

    def __init__(
        self,
        program: Program,
        steps: Sequence[Step | Attention],
        schedule: Schedule,
        precision: Precision,
        named: dict[str, str],
    ) -> None:
        self._program, self._steps, self._schedule, self._precision = program, steps, schedule, precision
        self._shared = _shared(program, steps)
        places = size_places(program, IN_A_PLAN)
        self._sizes = {symbol.name: place for symbol, place in places.items()} | named
        self._kernels: list[str] = []
        self._launches: list[LaunchText] = []
        self._spans: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._of: dict[str, tuple[list[Buffer], list[str]]] = {}

    def written(self) -> DeviceSource:
        """All of it; once."""
        for number, step in enumerate(self._steps):
            if isinstance(step, (Kernel, Finished, Product, Attention, Convolution, Spread)):
                self._kernel(f"k{number}", step)
            else:
                raise Unsupported(f"no kernel for a {type(step).__name__.lower()}")
        areas = {name: self._program.buffers[name] for name in sorted(self._shared)}
        scratch = {name: f"{b.dtype.size_bytes} * {size(ix.product(b.shape), '')}" for name, b in areas.items()}
        if len(scratch) > MOST_SCRATCH or len(self._launches) > MOST_LAUNCHES:
            raise Unsupported(f"{len(scratch)} temporaries and {len(self._launches)} launches: too many for a plan")
        sizes = self._sizes | self._spans | {name: text for text, name in self._names.items()}
        sizes |= fitting(self._program.buffers.values(), self._sizes)
        used = {argument for launch in self._launches for argument in launch.arguments}
        kinds = {label(b): _ELEMENTS[b.dtype] for b in self._program.buffers.values() if b.place is not Place.NUMBER}
        types = {name: kind for name, kind in kinds.items() if name in used and kind != "fp32"}
        return device_source(self._kernels, self._launches, sizes, scratch, types)

    def _kernel(self, name: str, step: Kernel | Whole) -> None:
        bodies: dict[str, str] = {}
        found: Iterable[Variant]
        if isinstance(step, Kernel):
            step = collapse(step)
            nest = Nest(self._program, step, self._shared)
            found = variants(nest, self._schedule, self._program.hints)
        else:
            text = self._text(step)
            found = text.variants(self._schedule)
        even = _even(step, nest.tile.columns if isinstance(step, Kernel) else sympy.Integer(0))
        for variant in found:
            if variant.body not in bodies:
                suffix = f"_{len(bodies)}" if bodies else ""
                made = Nest(self._program, step, self._shared) if isinstance(step, Kernel) else text
                lines = getattr(made, variant.body)()
                bodies[variant.body] = name + suffix
                self._function(name + suffix, made.buffers, lines, even, tuple(variant.constants))
            self._launch(bodies[variant.body], variant, even)

    def _text(self, step: Whole) -> ProductText | AttentionText | ConvolutionText:
        if isinstance(step, (Convolution, Spread)):
            return ConvolutionText(self._program, step, self._precision)
        if isinstance(step, Attention):
            return AttentionText(self._program, step, self._shared, self._precision)
        return ProductText(self._program, step, self._shared, self._precision)

    def _function(
        self, name: str, buffers: tuple[str, ...], body: list[str], even: frozenset[str], constants: tuple[str, ...]
    ) -> None:
        words = set(re.findall(r"[A-Za-z_]\w*", "\n".join(body)))
        sizes = [one for one in self._sizes if one in words]
        unknown = _missing(self._program, words, self._sizes)
        if unknown:
            raise Unsupported(f"the size {unknown} is not a size of an input")
        own = [self._program.buffers[each] for each in buffers]
        hints = [f"    {one} = {one} // 16 * 16" for one in sizes if one in even]
        head = ["if EVEN:", *hints] if hints else []
        casts = [line for each in buffers for line in cast(self._program, each)]
        parameters = [label(buffer) for buffer in own]
        self._kernels.append(function(name, [*parameters, *sizes], [*constants, "EVEN", "WIDE"], [*casts, *head], body))
        self._of[name] = (own, sizes)

    def _launch(self, kernel: str, variant: Variant, even: frozenset[str]) -> None:
        own, sizes = self._of[kernel]
        small = self._small(own)
        aligned = " and ".join(f"{one} % 16 == 0" for one in sizes if one in even)
        cases = [(f"fits and ({variant.when})", small, aligned, 1, 0)] if small != "0" and variant.narrow else []
        if aligned and cases:
            cases.append((f"fits and ({variant.when})", small, f"not ({aligned})", 0, 0))
        if small != "1" and variant.widest:
            cases.append((f"fits and ({variant.when_wide})", f"not {small}", "", 0, 1))
        for *conditions, evenly, wide in cases:
            when = " and ".join(one for one in conditions if one not in ("", "1")).replace(" and (1)", "")
            kind = "i64" if wide else "i32"
            numbers = [f"{_NUMBERS} {label(b)}" if b.place is Place.NUMBER else label(b) for b in own]
            self._launches.append(LaunchText(
                kernel, variant.grid, (*numbers, *(f"{kind} {one}" for one in sizes)),
                {**variant.constants, "EVEN": evenly, "WIDE": wide}, when or "1", variant.warps,
                variant.stages,
            ))  # fmt: skip

    def _small(self, own: Sequence[Buffer]) -> str:
        """When all places fit 32 bits: a name in the plan, or "1" or "0" where that is known."""
        conditions = []
        for buffer in own:
            last = sum((n - 1) * s for n, s in zip(buffer.shape, buffer.stride, strict=True))
            span = sympy.expand(last + 1)
            if span.is_Integer:
                if int(span) >= _NARROW:
                    return "0"
                continue
            name = f"span_{label(buffer)}"
            self._spans[name] = size(span, "")
            conditions.append(f"{name} < {_NARROW}")
        if not conditions:
            return "1"
        text = " and ".join(conditions)
        return self._names.setdefault(text, f"narrow{len(self._names) or ''}")


def _even(step: Kernel | Whole, length: Size) -> frozenset[str]:
    """Sizes whose divisibility by 16 is worth a variant of its own."""
    if isinstance(step, Kernel):
        return even_sizes(kernel_steps(step, length))
    if isinstance(step, (Convolution, Spread)):
        return even_sizes((ix.product(step.out_sizes),))
    if isinstance(step, Attention):
        return even_sizes(strided_steps(step.first) | strided_steps(step.second))
    return even_sizes(strided_steps(step.product if isinstance(step, Finished) else step))


def _is_size(symbol: sympy.Symbol) -> bool:
    return not isinstance(symbol, (Loop, Lookup))


def _missing(program: Program, words: set[str], sizes: dict[str, str]) -> str:
    """A size that a body uses and no input has."""
    everywhere: set[Size] = set()
    for buffer in program.buffers.values():
        for one in (*buffer.shape, *buffer.stride):
            everywhere |= {s for s in one.free_symbols if _is_size(s)}
    return next((s.name for s in sorted(everywhere, key=str) if s.name in words and s.name not in sizes), "")


def _shared(program: Program, steps: Sequence[Step | Attention]) -> set[str]:
    """Temporaries that live between kernels."""
    users: dict[str, set[int]] = {}
    for number, names in enumerate(_used(steps)):
        for name in names:
            users.setdefault(name, set()).add(number)
    return {name for name, where in users.items()
            if len(where) > 1 and program.buffers[name].place is Place.TEMPORARY}  # fmt: skip


def _used(steps: Sequence[Step | Attention]) -> Iterator[set[str]]:
    for step in steps:
        if isinstance(step, Attention):
            yield step.buffers
            continue
        if isinstance(step, Group):
            raise Unsupported("groups are a CPU's")
        yield set(step.product.buffers) | buffers_of(step.kernel) if isinstance(step, Finished) else buffers_of(step)
