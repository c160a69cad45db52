"""Symbolic positions: every simplification must agree with the integers."""

import itertools

import sympy
from hypothesis import given
from hypothesis import strategies as st

from assay.engineer.codegen import index as ix
from assay.engineer.codegen.index import FloorDiv, Loop, Modulo

N, M = (sympy.Symbol(name, integer=True, positive=True) for name in ("s1", "s2"))


def value(expression, numbers):
    """An expression's integer."""
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        return numbers[expression]
    parts = [value(a, numbers) for a in expression.args]
    if isinstance(expression, FloorDiv):
        return parts[0] // parts[1]
    if isinstance(expression, Modulo):
        return parts[0] % parts[1]
    return int(expression.func(*parts))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_unflattening_a_flat_position_gives_the_index_back_for_numbers(shape, data):
    index = [data.draw(st.integers(0, size - 1)) for size in shape]
    flat = ix.flatten([sympy.Integer(i) for i in index], ix.contiguous([sympy.Integer(s) for s in shape]))
    assert [int(i) for i in ix.unflatten(flat, [sympy.Integer(s) for s in shape])] == index


def test_a_reshape_there_and_back_leaves_no_division():
    axes = (Loop("i", N), Loop("i", M), Loop("i", 8))
    flat = ix.flatten(axes, ix.contiguous([N, M, sympy.Integer(8)]))
    assert ix.unflatten(flat, (N, M, sympy.Integer(8))) == axes


@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 7))
def test_divisions_of_loops_agree_with_integers_everywhere(n, m, by):
    i, j = Loop("i", N), Loop("i", M)
    expression = i * M + j
    for divisor in (sympy.Integer(by), M, M * by):
        quotient, rest = ix.floor_div(expression, divisor), ix.modulo(expression, divisor)
        for a, b in itertools.product(range(n), range(m)):
            numbers = {N: n, M: m, i: a, j: b}
            here = a * m + b
            assert value(quotient, numbers) == here // value(divisor, numbers)
            assert value(rest, numbers) == here % value(divisor, numbers)


def test_a_position_that_may_reach_the_divisor_is_divided_at_run_time():
    i = Loop("i", N + 1)
    assert ix.floor_div(i, N).has(FloorDiv)
    assert ix.modulo(i, N).has(Modulo)


def test_quotient_and_remainder_of_one_thing_come_together_again():
    i = Loop("i", N * M)
    assert ix.recombined(sympy.expand(3 * M * FloorDiv(i, M) + 3 * Modulo(i, M))) == 3 * i


def test_data_has_no_bound_and_is_divided_at_run_time():
    at = ix.Lookup(object())
    assert ix.floor_div(at, N).has(FloorDiv)


def test_sizes_are_written_as_integer_arithmetic():
    assert "s1 * s2" in ix.cpp(N * M + 3)


def test_divisions_of_sizes_are_named_once_and_the_inner_one_first():
    ix.start_divisions()
    outer = FloorDiv(N, FloorDiv(M, sympy.Integer(8)))
    assert ix.cpp(outer + 1) == ix.cpp(outer + 1)
    assert [text for _, text in ix.written_divisions()] == ["s2 / 8", "s1 / q0"]
    ix.start_divisions()
    assert ix.written_divisions() == []
