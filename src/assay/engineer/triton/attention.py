"""Attention in one kernel: scores, softmax and the sum of values, tile by tile of keys, without the scores in memory.

The softmax is taken online: what was summed is scaled down when a larger score comes (Milakov and Gimelshein 2018; Dao
et al. 2022, algorithm 1). It is found in a program, whatever elements a score is made of: two products, between them a
softmax of something that is computed from each score and its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.finish import Finished, Step
from assay.engineer.codegen.fuse import Kernel
from assay.engineer.codegen.group import buffers_of
from assay.engineer.codegen.index import Loop
from assay.engineer.codegen.program import Kind, Place, Product, Program, Statement
from assay.engineer.codegen.scalars import Call, Constant, Load, Position, Scalar, loads

WIDEST = 256
"""Elements of a head, all of which a tile holds."""


@dataclass(frozen=True, slots=True)
class Attention:
    """`first` is queries by keys, `second` weights by values; `score` is what the softmax is taken of.

    `bound`: only keys before the query's place plus this have a weight; None where any may have. `zero`: a query whose
    scores are all -infinity gives zeros, not NaN.
    """

    first: Product
    kernel: Kernel
    second: Product
    finish: Kernel | None
    score: Scalar
    bound: int | None
    zero: bool

    @property
    def buffers(self) -> set[str]:
        """What it reads and fills in memory."""
        read = {one.buffer for one in loads(self.score)} - {self.first.buffer}
        own = {self.first.left, self.first.right, self.second.right, self.second.buffer, *read}
        return own | (buffers_of(self.finish) if self.finish else set())


def with_attention(program: Program, steps: Sequence[Step]) -> list[Step | Attention]:
    """The same steps, with every attention as one of them."""
    users = Counter(name for step in steps for name in _buffers(step))
    found: list[Step | Attention] = []
    place = 0
    while place < len(steps):
        several = steps[place : place + 3]
        made = _attention(program, several, users) if len(several) == 3 else None
        found.append(made or steps[place])
        place += 3 if made else 1
    return found


def _attention(program: Program, steps: Sequence[Step], users: Counter[str]) -> Attention | None:
    first, kernel, last = steps
    second = last.product if isinstance(last, Finished) else last
    if not (isinstance(first, Product) and isinstance(kernel, Kernel) and isinstance(second, Product)):
        return None
    alike = ix.same(first.batch, second.batch) and ix.same(first.m, second.m) and ix.same(first.n, second.k)
    small = all(n.is_Integer and n <= WIDEST for n in (first.k, second.n))
    inner = (first.buffer, second.left)
    own = all(program.buffers[b].place is Place.TEMPORARY and users[b] == 2 for b in inner)
    if not (alike and small and own) or second.left_turned or len(kernel.reduced) != 1:
        return None
    found = _softmax(kernel, second.left)
    if found is None or not _is_in_place(kernel, first, found[0]):
        return None
    finish = last.kernel if isinstance(last, Finished) else None
    return Attention(first, kernel, second, finish, found[0], _bound(kernel, first, found[0]), found[1])


def _softmax(kernel: Kernel, result: str) -> tuple[Scalar, bool] | None:
    """What the kernel takes the softmax of, and whether rows without any weight are zero."""
    by_kind: dict[str, list[Statement]] = {}
    for step in kernel.steps:
        by_kind.setdefault(step.operation if step.kind is Kind.REDUCE else step.kind.value, []).append(step)
    largest, sums, maps = (by_kind.pop(name, []) for name in ("max", "sum", "map"))
    if by_kind or len(largest) != 1 or len(maps) != 1 or not 1 <= len(sums) <= 2 or maps[0].buffer != result:
        return None
    score = largest[0].body
    weight = next((s for s in sums if _is_weight(s.body, score, largest[0].buffer)), None)
    counted = [s for s in sums if s is not weight]
    if weight is None or any(not _is_count(s.body, score) for s in counted):
        return None
    body, zero = maps[0].body, False
    if counted and (inner := _unless_masked(body, counted[0].buffer)) is not None:
        body, zero = inner, True
    if not (isinstance(body, Call) and body.function == "div" and body.arguments[0] is weight.body):
        return None
    return (score, zero) if _loads(body.arguments[1], weight.buffer) else None


def _is_weight(body: Scalar, score: Scalar, largest: str) -> bool:
    match body:
        case Call(function="exp", arguments=(Call(function="sub", arguments=(one, other)),)):
            return one is score and _loads(other, largest)
    return False


def _is_count(body: Scalar, score: Scalar) -> bool:
    """Of the scores that are not -infinity."""
    match body:
        case Call(function="convert", arguments=(Call(function="bitwise_not", arguments=(inner,)),)):
            return isinstance(inner, Call) and inner.function == "eq" and inner.arguments[0] is score
    return False


def _unless_masked(body: Scalar, count: str) -> Scalar | None:
    match body:
        case Call(
            function="where", arguments=(Call(function="bitwise_not", arguments=(some,)), Constant(value=0), rest)
        ):
            if isinstance(some, Call) and some.function == "ne" and _loads(some.arguments[0], count):
                return rest
    return None


def _loads(scalar: Scalar, buffer: str) -> bool:
    return isinstance(scalar, Load) and scalar.buffer == buffer


def _is_in_place(kernel: Kernel, first: Product, score: Scalar) -> bool:
    """Whether each score is read at its own place, the last axis being the keys."""
    whole = ix.same(ix.product(a.size for a in kernel.outer), first.batch * first.m)
    axes = (*kernel.outer, *kernel.reduced)
    place = ix.flatten(axes, ix.contiguous(tuple(axis.size for axis in axes)))
    own = [one for one in loads(score) if one.buffer == first.buffer]
    return whole and bool(own) and all(ix.same(one.offset, place) for one in own) and kernel.axes == axes


def _bound(kernel: Kernel, first: Product, score: Scalar) -> int | None:
    """How far beyond its own place a query sees, where a comparison of places hides the rest behind -infinity."""
    if not kernel.outer or not ix.same(kernel.outer[-1].size, first.m):
        return None
    query, key = kernel.outer[-1], kernel.reduced[0]
    match score:
        case Call(function="where", arguments=(hidden, Constant(value=value), _)) if value == float("-inf"):
            return _compared(hidden, "ge", query, key, 0)
        case Call(function="add", arguments=(_, Call(function="where", arguments=(seen, _, Constant(value=value))))):
            return _compared(seen, "le", query, key, 1) if value == float("-inf") else None
    return None


def _compared(condition: Scalar, function: str, query: Loop, key: Loop, more: int) -> int | None:
    """c + `more` of a comparison of key - query with c; PyTorch writes `and True` around it."""
    match condition:
        case Call(function="bitwise_and", arguments=(inner, Constant(value=True))):
            return _compared(inner, function, query, key, more)
        case Call(function=name, arguments=(Call(function="sub", arguments=(one, other)), Constant(value=value))):
            places = isinstance(one, Position) and isinstance(other, Position)
            if places and name == function and (one.value, other.value) == (key, query):  # type: ignore[attr-defined]
                return int(value) + more
    return None


def _buffers(step: Step) -> Iterator[str]:
    if isinstance(step, Finished):
        yield from {*step.product.buffers, *buffers_of(step.kernel)}
    elif isinstance(step, Kernel):
        yield from buffers_of(step)
    elif isinstance(step, Product):
        yield from step.buffers
