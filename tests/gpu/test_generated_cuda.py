"""Generated CUDA: right on an emulated GPU against float64, and machine code for a real one without it."""

import copy
import shutil
import types
from pathlib import Path

import pytest
import torch

import assay.tasks.builtin
from assay.build.cuda import CudaBuilder
from assay.core.sources import Candidate
from assay.engineer.cuda import generate as generating
from assay.engineer.cuda import routines
from assay.engineer.cuda.generate import DeviceSchedule, Unsupported, generate
from assay.engineer.cuda.schedule import CHOICES
from assay.engineer.tracing import Tracing
from assay.launch.plan import find_plan
from assay.tasks.load import load_task
from assay.tasks.plain import plain_task
from tests.gpu.emulation.running import run

FOLDER = Path(next(iter(assay.tasks.builtin.__path__)))
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
FORMS = (
    "argmax_rows", "attention", "batched_matmul", "blend_clamp", "conv_transpose2d", "cross_entropy_backward",
    "depthwise_conv2d", "embedding_bag", "index_add", "layer_norm_backward", "log_softmax", "masked_softmax",
    "matmul_transposed", "max_pool2d", "mean_middle", "patchify", "pointwise_conv_bn", "reverse_cumsum", "softmax",
)  # fmt: skip
"""One for each way of writing a kernel; all tasks are in the slow lane."""
COMPILED = ("softmax", "linear_gelu", "cumsum")
SIZES = (13, 37, 9, 11, 5, 7)
ROUNDING = 2e-6
"""Relative to the largest element: the errors of long sums and of functions by PyTorch itself are about as large."""
slow = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tracing():
    with Tracing() as tracing:
        yield tracing


def program_of(name):
    program = types.ModuleType(f"builtin_{name}")
    exec((FOLDER / f"{name}.py").read_text(), program.__dict__)
    return program


def small_axes(program, sizes):
    """Sizes that are no multiple of anything, as far as the task's limits allow."""
    task = getattr(program, "TASK", {})
    axes = {}
    for number, (axis, usual) in enumerate(task.get("axes", {}).items()):
        limit = task.get("limits", {}).get(axis, {"min": usual, "max": usual})
        step = limit.get("multiple_of", 1)
        wanted = max(limit.get("min", 1), min(limit.get("max", usual), sizes[number % len(sizes)]))
        axes[axis] = max(step, wanted // step * step)
    return axes


def outputs_of(model, inputs):
    with torch.no_grad():
        found = model(*inputs)
    return [found] if torch.is_tensor(found) else list(found)


def agrees(name, candidate, sizes=SIZES):
    """Runs the candidate on the task's inputs and compares it with the reference in float64, as exact as float32 is."""
    program = program_of(name)
    torch.manual_seed(3)
    model = program.Model(*getattr(program, "get_init_inputs", list)()).eval()
    inputs = list(program.get_inputs(**small_axes(program, sizes)))
    wide = [x.double() if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs]
    own, exact = outputs_of(model, inputs), outputs_of(copy.deepcopy(model).double(), wide)
    outputs = [torch.empty_strided(each.shape, each.stride(), dtype=each.dtype) for each in own]
    tensors = [x for x in inputs if torch.is_tensor(x)]
    scalars = [float(x) for x in inputs if not torch.is_tensor(x)]
    plan = run(candidate, tensors, list(model.state_dict().values()), outputs, scalars)
    for found, wanted, reference in zip(outputs, exact, own, strict=True):
        if not found.is_floating_point():
            assert torch.equal(found, reference)
            continue
        scale = float(wanted.abs().max()) + 1e-30
        errors = (float((each.double() - wanted).abs().max()) / scale for each in (found, reference))
        mine, theirs = errors
        assert mine <= max(20 * theirs, ROUNDING)
    return plan


@pytest.mark.parametrize("name", [*FORMS, *(pytest.param(name, marks=slow) for name in NAMES if name not in FORMS)])
def test_a_generated_kernel_is_right_on_an_emulated_gpu(tracing, name):
    agrees(name, generate(tracing.trace(load_task(name)), DeviceSchedule(), name))


@pytest.mark.parametrize("name", ["softmax", "cumsum", "mean_middle", "matmul", "cross_entropy", "conv2d_bias_relu"])
def test_sizes_of_one_are_right(tracing, name):
    agrees(name, generate(tracing.trace(load_task(name)), DeviceSchedule(), name), (1, 1, 1, 1, 1, 1))


@pytest.mark.parametrize("name", ["softmax", "mean_middle", "reverse_cumsum"])
@pytest.mark.parametrize("schedule", [
    DeviceSchedule(unroll=1, lanes=32, slices=1), DeviceSchedule(unroll=8, lanes=1024, slices=16),
    DeviceSchedule(keep=False), DeviceSchedule(apart=True), DeviceSchedule(lanes=128, slices=4, fast=True),
], ids=str)  # fmt: skip
def test_every_schedule_is_right(tracing, name, schedule):
    agrees(name, generate(tracing.trace(load_task(name)), schedule, name))


@pytest.mark.parametrize("name", ["softmax", "embedding_bag", "max_pool2d"])
def test_positions_beyond_32_bits_have_kernels_of_their_own(tracing, monkeypatch, name):
    monkeypatch.setattr(generating, "_WIDE", 0)
    plan = agrees(name, generate(tracing.trace(load_task(name)), DeviceSchedule(), name))
    assert all(launch.kernel.endswith("_wide") for launch in plan.launches)


@pytest.mark.parametrize("name", ["matmul", "matmul_transposed"])
def test_large_tiles_and_sums_in_parts_are_right(tracing, monkeypatch, name):
    monkeypatch.setattr(routines, "_LARGE", 1)
    monkeypatch.setattr(routines, "_PART", 1)
    candidate = generate(tracing.trace(load_task(name)), DeviceSchedule(), name)
    assert ", 8, true>" in candidate.files[0].text
    agrees(name, candidate, (150, 131, 1030))


def test_a_wrong_kernel_is_seen_to_be_wrong(tracing):
    candidate = generate(tracing.trace(load_task("layer_norm")), DeviceSchedule(), "wrong")
    for old, new in (("Sum::of", "Max::of"), ("< results", "< results - 1"), ("combine_row<Sum>(", "(")):
        assert old in candidate.files[0].text
        files = (type(candidate.files[0])("kernel.cu", candidate.files[0].text.replace(old, new)), *candidate.files[1:])
        with pytest.raises(AssertionError):
            agrees("layer_norm", Candidate("k", candidate.language, files, candidate.entry, candidate.flags))


def test_what_has_no_generator_says_so(tracing):
    text = "import torch\nclass Model(torch.nn.Module):\n    def forward(self, x):\n        return torch.sort(x)[0]\n"
    task = plain_task(text + "def get_inputs():\n    return [torch.randn(8, 16)]\n", "sorted.py")
    with pytest.raises(Unsupported, match="sort"):
        generate(tracing.trace(task), DeviceSchedule(), "sorted")


def test_schedules_are_on_the_list_and_come_back():
    assert all(getattr(DeviceSchedule(), name) in values for name, values in CHOICES.items())
    assert DeviceSchedule.from_json(DeviceSchedule(lanes=128).to_json()) == DeviceSchedule(lanes=128)
    with pytest.raises(ValueError, match="lanes"):
        DeviceSchedule.from_json({"lanes": 48})


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="there is no CUDA toolkit here")
@pytest.mark.parametrize(
    "name", [*COMPILED, *(pytest.param(name, marks=slow) for name in NAMES if name not in COMPILED)]
)
def test_generated_kernels_compile_for_a_real_gpu_and_spill_little(tracing, name):
    candidate = generate(tracing.trace(load_task(name)), DeviceSchedule(), name)
    with CudaBuilder() as builder:
        built = builder.build(candidate)
    assert {kernel.name for kernel in built.kernels} == set(find_plan(candidate.files).kernels)
    assert all((kernel.spill_store_bytes or 0) <= 32 for kernel in built.kernels)
