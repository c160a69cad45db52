"""Generated C programs: what they compute, what they need, and what they leave out."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from networks import exact_life, random_network

from assay.errors import InputError
from assay.export.c99.convolution import Form
from assay.export.c99.numerics import AVR_TAP_BYTES
from assay.export.c99.program import write_program
from assay.export.checking import STRICT, built, write_files
from assay.export.folding import fold
from assay.export.integer_reference import compute_integers
from assay.export.network import Conv, Layer, Network, Window
from assay.export.quantise import quantise
from assay.export.reading import read_network
from assay.export.reference import compute, rounding_bound

CHECKED = ("-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
"""A read or write beyond an array, an overflow or a wrong shift ends the program."""


def run(network, inputs, flags=CHECKED, **options):
    with built(write_program(network, **options), flags) as host:
        return host.run(inputs)


@pytest.mark.parametrize("seed", range(12))
def test_a_float_program_is_within_rounding_of_the_exact_network(seed):
    network, rng = random_network(seed)
    inputs = rng.normal(0, 1, (6, *network.takes)).astype(np.float32)
    exact = compute(network, inputs)[-1].reshape(len(inputs), -1)
    for lean in (network, fold(network)):
        found = run(lean, inputs, form=[None, *Form][seed % 4], own_arena=seed % 2 == 0)
        bound = rounding_bound(network, inputs.min(0), inputs.max(0)) + rounding_bound(
            lean, inputs.min(0), inputs.max(0)
        )
        assert np.abs(found - exact).max() <= bound


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("seed", range(12))
def test_an_integer_program_is_the_integer_reference_bit_for_bit(seed, bits):
    network, rng = random_network(seed)
    inputs = rng.normal(0, 1, (20, *network.takes))
    integer = quantise(fold(network), inputs[:10], bits=bits)
    given = integer.takes.quantise(3 * inputs)  # beyond the calibrated range as well
    expected = compute_integers(integer, given).reshape(len(inputs), -1)
    found = run(integer, given, form=[None, *Form][(seed + bits) % 4], own_arena=seed % 2 == 0)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("form", [None, *Form])
def test_every_form_of_the_weights_gives_the_same_integers(form):
    network, rng = random_network(3)
    integer = quantise(network, rng.normal(0, 1, (10, *network.takes)))
    given = integer.takes.quantise(rng.normal(0, 1, (10, *network.takes)))
    assert np.array_equal(run(integer, given, form=form), compute_integers(integer, given).reshape(10, -1))


@pytest.mark.parametrize("seed", range(16))
def test_integers_are_near_to_the_float_network_and_more_bits_are_nearer(seed):
    network, rng = random_network(seed)
    inputs = rng.normal(0, 1, (50, *network.takes))
    exact = compute(network, inputs)[-1]
    errors = []
    for bits in (8, 16):
        integer = quantise(network, inputs, bits=bits)
        found = compute_integers(integer, integer.takes.quantise(inputs)) * integer.output.scale
        errors.append(np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)))
    assert errors[0] <= 0.06
    assert errors[1] <= errors[0] + 0.002


def test_zero_weights_leave_no_code_and_zero_rows_become_constants():
    weight = np.zeros((3, 5, 1, 1), np.float32)
    weight[0, 3] = 2.5
    conv = Conv(weight, np.array([0.5, -7.25, 1.0], np.float32))
    program = write_program(Network((5, 1, 1), (Layer(conv, (0,), (5, 1, 1)),)))
    assert program.source.count("x[") == 1
    assert "a += 2.5f * x[3];" in program.source
    assert "y[1] = -7.25f;" in program.source
    empty = write_program(Network((5, 1, 1), (Layer(replace(conv, weight=0 * weight), (0,), (5, 1, 1)),)))
    assert "x[" not in empty.source
    with built(empty) as host:
        assert np.array_equal(host.run(np.ones((2, 5))), [[0.5, -7.25, 1.0]] * 2)


def test_on_avr_straight_line_code_gives_way_to_tables_sooner():
    rng = np.random.default_rng(0)
    conv = Conv(rng.normal(0, 1, (4, 12, 1, 1)).astype(np.float32), np.zeros(4, np.float32))
    network = quantise(Network((12, 1, 1), (Layer(conv, (0,), (12, 1, 1)),)), rng.normal(0, 1, (9, 12)))
    assert write_program(network).forms == {1: "unrolled"}
    assert write_program(network, tap_bytes=AVR_TAP_BYTES).forms == {1: "dense"}


def test_weights_that_only_ever_see_padding_leave_a_constant():
    weight = np.ones((2, 1, 3, 3), np.float32)
    weight[:, :, 1, 1] = 0
    conv = Conv(weight, np.array([0.5, -2.0], np.float32), Window((3, 3), padding=(1, 1)))
    network = Network((1, 1, 1), (Layer(conv, (0,), (1, 1, 1)),))
    for form in (None, *Form):
        assert run(network, np.ones((2, 1), np.float32), form=form).tolist() == [[0.5, -2.0]] * 2


@pytest.mark.parametrize("bits", [8, 32])
def test_a_program_includes_stdint_only_and_calls_nothing(tmp_path, bits):
    network, rng = random_network(4)
    given = quantise(network, rng.normal(0, 1, (9, *network.takes))) if bits == 8 else network
    program = write_program(given)
    source, _ = write_files(program, tmp_path)
    includes = [line for line in (program.source + program.header).splitlines() if line.startswith("#include")]
    assert sorted(includes) == ['#include "model.h"', "#include <stdint.h>"]
    for level in ("-Os", "-O3"):
        subprocess.run(["gcc", *STRICT, level, "-c", source, "-o", tmp_path / "model.o"], check=True)
        wanted = subprocess.run(["nm", "-u", tmp_path / "model.o"], check=True, capture_output=True, text=True).stdout
        assert set(wanted.split()) - {"U"} <= {"memset", "memcpy", "memmove", "_GLOBAL_OFFSET_TABLE_"}


def test_an_integer_program_has_no_float():
    network, rng = random_network(7)
    source = write_program(quantise(network, rng.normal(0, 1, (9, *network.takes)))).source
    code = "\n".join(line for line in source.splitlines() if not line.startswith("/*"))
    assert "float" not in code
    assert "double" not in code
    assert not any(character == "." and code[at + 1].isdigit() for at, character in enumerate(code[:-1]))


def test_a_pointwise_chain_keeps_one_position_and_not_a_board():
    lean = fold(read_network(exact_life(board=32), board_inputs(1)))
    assert write_program(lean).arena_bytes == 4 * (2 + 1)
    alone = Network(lean.takes, lean.layers[:1])
    assert write_program(alone).arena_bytes == 0


def board_inputs(count):
    import torch

    return (torch.rand(count, 1, 32, 32, generator=torch.Generator().manual_seed(5)) > 0.62).float()


def test_memory_is_reused_once_a_value_is_not_needed():
    conv = Conv(np.ones((16, 16, 1, 1), np.float32), np.zeros(16, np.float32))
    layers = tuple(Layer(conv, (number,), (16, 1, 1)) for number in range(6))
    assert write_program(Network((16, 1, 1), layers)).arena_bytes == 2 * 16 * 4


def test_a_decision_is_the_first_of_the_largest_outputs():
    weight = np.eye(4, dtype=np.float32).reshape(4, 4, 1, 1)
    network = Network((4, 1, 1), (Layer(Conv(weight, np.zeros(4, np.float32)), (0,), (4, 1, 1)),), decides=True)
    inputs = np.array([[1, 2, 2, 0], [-1, -5, -2, -3], [0, 0, 0, 0], [1, 2, 3, 4]], np.float32)
    assert run(network, inputs).ravel().tolist() == [1, 0, 0, 3]
    integer = quantise(network, inputs)
    assert run(integer, integer.takes.quantise(inputs)).ravel().tolist() == [1, 0, 0, 3]


@pytest.mark.parametrize("name", ["Model", "2fast", "int", "a b", "x" * 40, 'm"; evil'])
def test_a_name_that_c_does_not_take_is_refused(name):
    network, _ = random_network(0)
    with pytest.raises(InputError, match="no name for a program"):
        write_program(network, name)


def test_what_is_no_network_is_refused():
    conv = Conv(np.ones((1, 2, 1, 1), np.float32), np.zeros(1, np.float32))
    with pytest.raises(InputError, match="computes nothing"):
        Network((2, 1, 1), ())
    for layer in (
        Layer(conv, (0,), (3, 1, 1)),
        Layer(conv, (1,), (2, 1, 1)),
        Layer(replace(conv, window=Window((3, 3))), (0,), (2, 1, 1)),
        Layer(replace(conv, weight=np.full((1, 2, 1, 1), np.nan)), (0,), (2, 1, 1)),
    ):
        with pytest.raises(InputError, match="does not fit"):
            Network((2, 1, 1), (layer,))
