"""Honest device kernels are right and planted bugs are wrong, shown on a CPU by a small emulation of CUDA.

Exploits are never emulated: the emulation isolates nothing.
"""

from __future__ import annotations

import platform
import shutil

import pytest
import torch

from assay.core.sources import SourceFile
from assay.launch.plan import find_plan
from tests.gpu import corpora
from tests.gpu.emulation.emulator import EmulationError, build
from tests.gpu.emulation.programs import FAMILIES, Case, Program

HONEST = [kernel for kernel in corpora.honest() if kernel.emulated]
MUTANTS = [kernel for kernel in corpora.mutants() if kernel.emulated]
SCHEDULES = (0, 1, 2)
"""Low threads first, high ones first, shuffled."""

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or platform.machine() != "x86_64" or platform.system() != "Linux",
    reason="the emulation is compiled by g++ for Linux on x86-64",
)


def each(corpus):
    return pytest.mark.parametrize("one", corpus, ids=lambda one: one.name)


def some(corpus):
    """Every sixth; the others in the slow lane, since each is compiled for some seconds."""
    marked = [pytest.param(one, marks=() if n % 6 == 0 else pytest.mark.slow) for n, one in enumerate(corpus)]
    return pytest.mark.parametrize("one", marked, ids=[one.name for one in corpus])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_right(one, folder, shapes, seed):
    """Shapes with several families and schedules; two calls on the same buffers, the same bits for both."""
    program, emulated = Program.load(one.task), build(one.text, one.plan, folder)
    decided = 0
    for number, shape in enumerate(program.shapes(shapes, seed)):
        largest = 1 <= number <= len(program.axes)  # an axis is: many blocks, so that one schedule has to do
        for schedule in SCHEDULES[number % 3 :][:1] if largest else SCHEDULES:
            family = FAMILIES[(number * len(SCHEDULES) + schedule + seed) % len(FAMILIES)]
            case = program.draw(shape, family, seed + number)
            if not case.decides:
                continue
            first, second = emulated.run([case, case], schedule, seed + number)
            assert case.excess(first) <= 1, (shape, family, schedule, case.excess(first))
            for one_output, other in zip(first, second, strict=True):
                assert torch.equal(one_output, other), (shape, family, schedule, "other bits on the second call")
            decided += 1
    assert decided >= 4


@some(HONEST)
def test_an_honest_kernel_is_right_at_awkward_shapes(one, tmp_path):
    check_right(one, tmp_path, shapes=6, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
@each(HONEST)
def test_an_honest_kernel_is_right_at_many_shapes(one, tmp_path, seed):
    check_right(one, tmp_path, shapes=16, seed=seed)


def shapes_of(one, program):
    """The shape that a mutant names, or several."""
    if "shape" in one.notes:
        return [{axis: int(size) for axis, size in (word.split("=") for word in one.notes["shape"].split())}]
    return program.shapes(8)


def families_of(one):
    """The family that a mutant names, and then the others."""
    named = one.notes.get("family")
    return sorted(FAMILIES, key=lambda family: family != named)


def witness(one, folder):
    """The first shape, family and schedule that show a bug, and how; None where nothing does."""
    program, emulated = Program.load(one.task), build(one.text, one.plan, folder)
    for family in families_of(one):
        for number, shape in enumerate(shapes_of(one, program)):
            calls = [program.draw(shape, family, 100 * number + i) for i in range(int(one.notes.get("calls", 2)))]
            if not all(call.decides for call in calls):
                continue
            for schedule in SCHEDULES:
                try:
                    found = emulated.run(calls, schedule, seed=number)
                except EmulationError as error:
                    return shape, family, schedule, str(error)
                worst = max(call.excess(got) for call, got in zip(calls, found, strict=True))
                if worst > 1:
                    return shape, family, schedule, f"{worst:.3g} times what is granted"
    return None


@some(MUTANTS)
def test_a_mutant_is_wrong_somewhere(one, tmp_path):
    assert witness(one, tmp_path) is not None


def test_most_kernels_are_emulated_and_the_others_say_why():
    kernels = corpora.honest() + corpora.mutants()
    assert sum(kernel.emulated for kernel in kernels) >= len(kernels) - 3
    assert all(len(kernel.notes["not emulated"]) > 6 for kernel in kernels if not kernel.emulated)


RACE = """/* launch.toml
[[launch]]
kernel = "k"
block = [64]
arguments = ["in0", "out0"]
*/
extern "C" __global__ void k(const float* x, float* y) {
  __shared__ float kept[64];
  kept[threadIdx.x] = x[threadIdx.x];
  BARRIER
  y[threadIdx.x] = kept[63 - threadIdx.x] + STRAY;
}
"""


@pytest.mark.parametrize(
    ("barrier", "stray", "message"),
    [
        ("__syncthreads();", "0.0f", None),
        ("", "0.0f", "other values"),
        ("if (threadIdx.x < 32) __syncwarp(0xffff0000u); __syncthreads();", "0.0f", "leaves it out"),
        ("if (threadIdx.x < 32) __shfl_sync(~0u, 1, 0); else return; __syncthreads();", "0.0f", "other values"),
        ("if (threadIdx.x == 40) __syncwarp(); else __syncthreads();", "0.0f", "deadlock"),
        ("y[64] = 1.0f; __syncthreads();", "0.0f", "status"),
        ("y[-1] = 1.0f; __syncthreads();", "0.0f", "before the start"),
        ("const_cast<float*>(x)[0] = 7.0f; __syncthreads();", "0.0f", "an input"),
        ("__syncthreads();", "reinterpret_cast<const float4*>(x + 1)->x", "status"),
    ],
)
def test_the_emulation_sees_what_it_says_that_it_sees(barrier, stray, message, tmp_path):
    text = RACE.replace("BARRIER", barrier).replace("STRAY", stray)
    x = torch.randn(64)
    case = Case([x], [], [], [x.flip(0)], [x.flip(0).double()], [torch.full((64,), 1e-6)])
    emulated = build(text, find_plan([SourceFile("k.cu", text)]), tmp_path)
    assert seen(emulated, case, message) == message


def seen(emulated, case, wanted):
    """None where the result is right, "other values" where it is not, `wanted` where a fault's message says so."""
    try:
        (found,) = emulated.run([case])
    except EmulationError as error:
        return wanted if wanted and wanted in str(error) else str(error)
    return None if case.excess(found) <= 1 else "other values"
