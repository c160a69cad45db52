"""Calls of what is not written out as loops: the library's matrix product, and our own direct convolution."""

from __future__ import annotations

from collections.abc import Container

import sympy

from assay.engineer.codegen.index import Size, cpp
from assay.engineer.codegen.program import Convolution, Product

SGEMM = """extern "C" void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
                       const float*, const int*, const float*, const int*, const float*, float*, const int*);

// c = a b, all of them row by row, through the library that PyTorch itself uses (column by column: c' = b' a').
static void product(const float* a, const float* b, float* c, int64_t m, int64_t n, int64_t k, bool a_turned,
                    bool b_turned) {
  if (m == 0 || n == 0) return;
  int m_ = static_cast<int>(m), n_ = static_cast<int>(n), k_ = static_cast<int>(k);
  int lda = a_turned ? m_ : k_, ldb = b_turned ? k_ : n_;
  float one = 1.0f, zero = 0.0f;
  sgemm_(b_turned ? "T" : "N", a_turned ? "T" : "N", &n_, &m_, &k_, &one, b, &ldb, a, &lda, &zero, c, &n_);
}
"""
"""What a file needs that calls `product`; it links the library that PyTorch brings along."""


def product(one: Product) -> list[str]:
    """The call, or one for each of a batch."""
    if one.batch == 1:
        return [f"product({one.left}, {one.right}, {one.buffer}, {_sizes(one)});"]
    # Inside a parallel loop the library takes one thread for each product; a few products get all threads in turn.
    return [
        f"#pragma omp parallel for schedule(static) num_threads(threads) if ({cpp(one.batch)} >= 2 * threads)",
        f"for (int64_t b = 0; b < {cpp(one.batch)}; b++)",
        f"  product({_operands(one, 'b', ())}, {_sizes(one)});",
    ]


def product_of_piece(one: Product, pieces: Container[str]) -> list[str]:
    """The call for one of a batch, inside a loop over `piece`; the buffers in `pieces` hold that one alone."""
    return [f"product({_operands(one, 'piece', pieces)}, {_sizes(one)});"]


def _operands(one: Product, number: str, pieces: Container[str]) -> str:
    def part(name: str, size: Size) -> str:
        return name if name in pieces else f"{name} + {number} * {cpp(sympy.expand(size))}"

    parts = (one.left, one.m * one.k), (one.right, one.k * one.n), (one.buffer, one.m * one.n)
    return ", ".join(part(name, size) for name, size in parts)


def _sizes(one: Product) -> str:
    turned = f"{str(one.left_turned).lower()}, {str(one.right_turned).lower()}"
    return f"{cpp(one.m)}, {cpp(one.n)}, {cpp(one.k)}, {turned}"


def convolution(one: Convolution, slot: int) -> list[str]:
    """Where each term of a sum lies, in scratch memory, and the call."""
    group_step = sympy.expand(one.channels * one.channel_step)
    terms = sympy.expand(one.channels * len(one.taps))
    taps = ", ".join(cpp(tap) for tap in one.taps)
    sizes = (one.batch, sympy.Integer(one.groups), one.outs, terms, sympy.expand(group_step * one.groups), group_step,
             one.width, one.rows, *one.out_sizes)  # fmt: skip
    numbers = ", ".join(cpp(size) for size in sizes)
    return [
        "{",
        f"  const int64_t taps[] = {{{taps}}};",
        f"  int64_t* __restrict at = scratch<int64_t>({slot}, {cpp(terms)});",
        f"  for (int64_t c = 0; c < {cpp(one.channels)}; c++) {{",
        f"    for (int64_t t = 0; t < {len(one.taps)}; t++) "
        f"at[c * {len(one.taps)} + t] = c * {cpp(one.channel_step)} + taps[t];",
        "  }",
        f"  convolve({{{numbers}}}, {one.source}, {one.weight}, {one.bias or 'nullptr'}, {one.buffer}, at, threads);",
        "}",
    ]
