"""Cheaper expressions that are equal: identities that a compiler may not use, because rounding differs by a little.

Every rule states its identity; the referee's error budget decides whether the rounding is granted.
"""

from __future__ import annotations

from assay.engineer.codegen.scalars import Call, Constant, Load, Position, Scalar, call, constant, walk


def rewritten(scalar: Scalar) -> Scalar:
    """The expression with every rule applied, parts first."""
    done: dict[int, Scalar] = {}
    for one in walk(scalar):
        if isinstance(one, Call):
            new = call(one.dtype, one.function, *(done[id(a)] for a in one.arguments))
            done[id(one)] = _factored(_tanh_of_softplus(new))
        else:
            assert isinstance(one, (Constant, Load, Position))
            done[id(one)] = one
    return done[id(scalar)]


def _tanh_of_softplus(one: Scalar) -> Scalar:
    """tanh(log(1 + e)) = e (e + 2) / (e (e + 2) + 2), for e = exp(x); with x at most 20, beyond which it is 1."""
    inner = _argument(one, "tanh")
    if not isinstance(inner, Call):
        return one
    soft = inner.arguments[2] if inner.function == "where" else inner
    power = _argument(soft, "log1p")
    x = _argument(power, "exp") if power is not None else None
    if x is None:
        return one
    if inner.function == "where" and inner.arguments[1] is not x:
        return one
    dtype = one.dtype
    e = call(dtype, "exp", call(dtype, "minimum", x, constant(dtype, 20.0)))
    product = call(dtype, "mul", e, call(dtype, "add", e, constant(dtype, 2.0)))
    return call(dtype, "div", product, call(dtype, "add", product, constant(dtype, 2.0)))


def _factored(one: Scalar) -> Scalar:
    """a s + (b s + c) = (a + b) s + c: far from zero, where b s is large, the left form loses digits."""
    for first, second in _orders(one, "add"):
        for a, s in _orders(first, "mul"):
            for scaled, c in _orders(second, "add"):
                for b, also in _orders(scaled, "mul"):
                    if also is s and isinstance(a, Load):
                        dtype = one.dtype
                        return call(dtype, "add", call(dtype, "mul", call(dtype, "add", a, b), s), c)
    return one


def _orders(one: Scalar, function: str) -> tuple[tuple[Scalar, Scalar], ...]:
    """Both orders of the arguments of a function of two, nothing for anything else."""
    if not isinstance(one, Call) or one.function != function:
        return ()
    a, b = one.arguments
    return ((a, b), (b, a))


def _argument(one: Scalar | None, function: str) -> Scalar | None:
    """The argument of a function of one, None for anything else."""
    return one.arguments[0] if isinstance(one, Call) and one.function == function else None
