"""Assay's own task set: every program loads, runs at its sizes and at boundary sizes, and agrees with float64."""

import math
import types
from pathlib import Path

import pytest
import torch

import assay.tasks.builtin

FOLDER = Path(next(iter(assay.tasks.builtin.__path__)))
NAMES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")
BOUNDARY_SIZES = (1, 2, 7, 31, 33, 65)
FLOAT32_EPS = 2.0**-23
MOST_INPUT_BYTES = 24 * 2**20


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def load(name):
    program = types.ModuleType(f"builtin_{name}")
    path = FOLDER / f"{name}.py"
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), program.__dict__)
    return program


def build(program):
    torch.manual_seed(7)
    return program.Model(*getattr(program, "get_init_inputs", list)()).eval()


def run(model, inputs):
    with torch.no_grad():
        out = model(*inputs)
    return list(out) if isinstance(out, (tuple, list)) else [out]


def as_float64(inputs):
    return [x.double() if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs]


def assert_agrees_with_float64(model, inputs):
    single = run(model, inputs)
    double = run(model.double(), as_float64(inputs))
    model.float()
    assert len(single) == len(double)
    for low, high in zip(single, double, strict=True):
        assert low.shape == high.shape
        assert torch.isfinite(high).all()
        if not low.is_floating_point():
            assert torch.equal(low, high)
            continue
        assert high.dtype == torch.float64
        scale = max(1.0, high.abs().max().item()) if high.numel() else 1.0
        assert (low - high).abs().max().item() <= 512 * FLOAT32_EPS * scale if low.numel() else True


def nearest_allowed(limit, size):
    """The smallest size of at least `size` that the limit allows, or its largest one."""
    step = limit.get("multiple_of", 1)
    low, high = limit.get("min", 1), limit["max"]
    return min(max(math.ceil(size / step), math.ceil(low / step)) * step, high // step * step)


def boundary_axes(declared):
    """Sizes that vary every axis: all the same boundary size, and each axis with another one."""
    axes, limits = declared["axes"], declared["limits"]
    for size in BOUNDARY_SIZES:
        yield axes | {axis: nearest_allowed(limit, size) for axis, limit in limits.items()}
    for start in range(2):
        sizes = {}
        for position, (axis, limit) in enumerate(limits.items()):
            sizes[axis] = nearest_allowed(limit, BOUNDARY_SIZES[(start + 2 * position) % len(BOUNDARY_SIZES)])
        yield axes | sizes


def test_the_set_has_the_promised_breadth():
    declared = [load(name).TASK for name in NAMES]
    families = {task["family"] for task in declared}
    assert len(NAMES) >= 36
    assert sum(task["family"] == "backward" for task in declared) >= 6
    assert families >= {"elementwise", "reduction", "softmax", "normalisation", "scan", "pooling", "convolution"}
    assert families >= {"gemm", "attention", "loss", "embedding", "sparse", "gather", "scatter", "layout", "block"}


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_declares_only_known_keys_and_axes_it_has(name):
    program = load(name)
    task = program.TASK
    known = {"family", "axes", "workloads", "limits", "domains", "weights", "mode", "linear", "flops"}
    assert set(task) <= known
    assert program.__doc__
    assert set(task["limits"]) <= set(task["axes"])
    for axis, limit in task["limits"].items():
        assert limit.get("min", 1) <= task["axes"][axis] <= limit["max"]
        assert task["axes"][axis] % limit.get("multiple_of", 1) == 0
    names = program.Model.forward.__code__.co_varnames[1 : program.Model.forward.__code__.co_argcount]
    assert set(task.get("domains", {})) <= set(names)
    if "flops" in task:
        assert task["flops"](**task["axes"]) > 0
        assert task["flops"](**dict.fromkeys(task["axes"], 1)) >= 0


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_agrees_with_float64_at_its_own_sizes(name):
    program = load(name)
    model = build(program)
    assert_agrees_with_float64(model, program.get_inputs(**program.TASK["axes"]))


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_is_defined_at_boundary_sizes(name):
    program = load(name)
    model = build(program)
    for axes in boundary_axes(program.TASK):
        torch.manual_seed(3)
        assert_agrees_with_float64(model, program.get_inputs(**axes))


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_stays_small_at_its_limits(name):
    program = load(name)
    largest = program.TASK["axes"] | {axis: limit["max"] for axis, limit in program.TASK["limits"].items()}
    inputs = program.get_inputs(**largest)
    assert sum(x.nbytes for x in inputs if torch.is_tensor(x)) <= MOST_INPUT_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_draws_its_inputs_from_the_global_generator_alone(name):
    program = load(name)
    draws = []
    for seed in (11, 11, 12):
        torch.manual_seed(seed)
        draws.append([x for x in program.get_inputs(**program.TASK["axes"]) if torch.is_tensor(x)])
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(draws[0], draws[2], strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_is_not_passed_by_zeros_a_constant_or_an_input(name):
    program = load(name)
    model = build(program)
    inputs = program.get_inputs(**program.TASK["axes"])
    wanted = [out.double() for out in run(model, inputs)]
    scale = max(out.abs().max().item() for out in wanted)
    near = 1e-3 * scale
    assert any(out.abs().max() > near for out in wanted)
    torch.manual_seed(99)
    others = [out.double() for out in run(model, program.get_inputs(**program.TASK["axes"]))]
    assert any((a - b.mean()).abs().max() > near for a, b in zip(others, wanted, strict=True))
    for out in wanted[:1]:
        for x in inputs:
            if torch.is_tensor(x) and x.shape == out.shape:
                assert (x.double() - out).abs().max() > near


@pytest.mark.parametrize("name", NAMES)
def test_a_builtin_is_not_passed_by_a_half_precision_rerun(name):
    program = load(name)
    model = build(program)
    inputs = program.get_inputs(**program.TASK["axes"])
    wanted = run(model, inputs)
    low = [x.bfloat16() if torch.is_tensor(x) and x.is_floating_point() else x for x in inputs]
    rough = run(model.bfloat16(), low)
    assert any(
        (a.double() - b.double()).abs().max() > 256 * FLOAT32_EPS * b.double().abs().max()
        for a, b in zip(rough, wanted, strict=True)
    )
