"""Emulated devices: answers, and counts that are checked on loops of known length."""

import shutil

import numpy as np
import pytest
from networks import exact_life, random_network

from assay.errors import InputError, MachineError
from assay.export.c99.program import write_program
from assay.export.checking import built
from assay.export.device import arm, avr, measure, toolchain
from assay.export.folding import fold
from assay.export.quantise import quantise
from assay.export.reading import read_network

needs_arm = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("arm-none-eabi-gcc", "qemu-system-arm")),
    reason="needs gcc-arm-none-eabi and qemu-system-arm",
)
needs_avr = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("avr-gcc", "simavr")), reason="needs gcc-avr, avr-libc and simavr"
)
ARM_LOOP = """#include "loop.h"
int32_t loop_decide(const uint8_t input[1]) {
    int32_t n = TURNS;
    __asm__ volatile("1: sub %0, #1\\n bne 1b" : "+l"(n) : : "cc");
    return n + input[0];
}
"""
AVR_LOOP = """#include "loop.h"
int32_t loop_decide(const uint8_t input[1]) {
    uint16_t n = TURNS;
    __asm__ volatile("1: sbiw %0, 1\\n brne 1b" : "+w"(n));
    return (int32_t)n + input[0];
}
"""
HEADER = "#include <stdint.h>\n#define LOOP_INPUTS 1\nint32_t loop_decide(const uint8_t input[1]);\n"


def loop(text, turns):
    """A program of known length in the place of an exported one."""
    from assay.export.c99.program import Program

    return Program("loop", text.replace("TURNS", str(turns)), HEADER, 0, {}, "uint8_t", "int32_t", 1, 1, True, "")


@needs_arm
def test_arm_counts_are_exact_on_a_loop_of_known_length():
    core = arm.CORES["cortex-m0plus"]
    short, long = (arm.measure_arm(loop(ARM_LOOP, turns), core, np.array([[7]])) for turns in (1000, 2000))
    assert short.outputs.tolist() == [[7]]
    assert long.instructions - short.instructions == 2 * 1000
    assert long.cycles - short.cycles == 3 * 1000  # a subtraction, and a branch that is taken
    assert 2000 < short.instructions < 2015


@needs_avr
def test_avr_counts_are_exact_on_a_loop_of_known_length():
    short, long = (avr.measure_avr(loop(AVR_LOOP, turns), np.array([[7]])) for turns in (100, 60_100))
    assert short.outputs.tolist() == [[7]]
    assert long.cycles - short.cycles == 4 * 60_000  # sbiw 2, brne taken 2; more than the timer's 65,536
    assert 400 < short.cycles < 440


def life_program(bits):
    lean = fold(read_network(exact_life(), patches()[:1]).before_decision())
    if bits == 32:
        return write_program(lean), patches().numpy()
    integer = quantise(lean, patches().numpy(), binary=True)
    return write_program(integer), patches().numpy().astype(np.uint8)


def patches():
    import torch

    return torch.tensor([[n >> b & 1 for b in range(9)] for n in range(512)]).float().view(-1, 1, 3, 3)


@needs_arm
@pytest.mark.parametrize(("device", "bits"), [("cortex-m0plus", 32), ("cortex-m0plus", 8), ("cortex-m4", 32)])
def test_a_cortex_answers_as_the_host_does(device, bits):
    program, inputs = life_program(bits)
    with built(program) as host:
        expected = host.run(inputs)
    found = measure(device, program, inputs)
    assert np.abs(found.outputs.astype(float) - expected).max() <= (1e-5 if bits == 32 else 0)
    assert 0 < found.flash_bytes < 4096
    assert 0 <= found.stack_bytes < 256
    assert found.static_bytes >= program.arena_bytes + inputs.nbytes // len(inputs)
    assert found.instructions > 50
    assert (found.cycles is None) == (device == "cortex-m4")


@needs_avr
@pytest.mark.parametrize("bits", [8, 32])
def test_an_avr_answers_as_the_host_does(bits):
    program, inputs = life_program(bits)
    with built(program) as host:
        expected = host.run(inputs)
    found = measure("atmega328p", program, inputs)
    assert np.abs(found.outputs.astype(float) - expected).max() <= (1e-5 if bits == 32 else 0)
    assert 0 < found.stack_bytes < 256
    assert found.cycles > 200
    assert found.instructions is None


@needs_avr
def test_tables_of_an_avr_stay_in_flash():
    network, rng = random_network(2)
    integer = quantise(network, rng.normal(0, 1, (9, *network.takes)))
    from assay.export.c99.convolution import Form

    program = write_program(integer, form=Form.DENSE)
    inputs = integer.takes.quantise(rng.normal(0, 1, (3, *network.takes)))
    found = measure("atmega328p", program, inputs)
    with built(program) as host:
        assert np.array_equal(found.outputs, host.run(inputs))
    kept = program.arena_bytes + program.inputs + program.outputs * found.outputs.itemsize
    assert found.static_bytes <= kept + 2


def test_what_is_not_there_is_said(monkeypatch):
    with pytest.raises(InputError, match="no such device"):
        measure("z80", loop(ARM_LOOP, 1), np.zeros((1, 1)))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MachineError) as raised:
        toolchain.require("qemu-system-arm")
    assert "apt-get install qemu-system-arm" in str(raised.value)


LISTING = """
00000000 <mark>:
   0:\t4770      \tbx\tlr

00000010 <main>:
  10:\tb570      \tpush\t{r4, r5, r6, lr}
  12:\t6803      \tldr\tr3, [r0, #0]
  14:\t4343      \tmuls\tr3, r0
  16:\td1fd      \tbne.n\t14 <main+0x4>
  18:\tf7ff fffe \tbl\t0 <mark>
  1c:\tbd70      \tpop\t{r4, r5, r6, pc}
  1e:\t4687      \tmov\tpc, r0
  20:\tc103      \tstmia\tr1!, {r0, r1}
"""


@pytest.mark.parametrize(
    ("address", "following", "cycles"),
    [(0x10, 0x12, 5), (0x12, 0x14, 2), (0x14, 0x16, 1), (0x16, 0x14, 2), (0x16, 0x18, 1), (0x18, 0, 3), (0x1C, 0x40, 7),
     (0x1E, 0x10, 2), (0x20, 0x22, 3), (0, 0x1C, 2)],
)  # fmt: skip
def test_cycles_are_those_of_arms_table(address, following, cycles):
    listing = arm.read_listing(LISTING)
    assert listing.mark == 0
    assert arm.cycles_m0plus(listing.at(address), address, following) == cycles


def test_an_address_that_is_not_listed_is_an_error():
    with pytest.raises(MachineError, match="does not list"):
        arm.count_between_marks(iter([0x10, 0x99, 0x10]), arm.read_listing(LISTING), 3)
