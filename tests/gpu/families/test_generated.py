"""Traced graphs of the built-in tasks as Triton: right in the interpreter, and which of them have no kernel yet."""

import copy
import importlib.util
import json
from pathlib import Path

import pytest
import torch

import assay.tasks
from assay.core.sources import Language
from assay.engineer.graph import read_graph
from assay.engineer.proposers.generators import TRITON, text_of, writer_for
from assay.engineer.tracer import trace
from assay.engineer.triton.generate import generate
from assay.engineer.triton.schedule import USUAL, Schedule
from assay.errors import InputError
from assay.tasks.load import load_task
from tests.gpu.families.agreement import UNIT
from tests.gpu.families.interpreter import run

FOLDER = Path(assay.tasks.__file__).with_name("builtin")
ALL = sorted(path.stem for path in FOLDER.glob("*.py"))
WITHOUT = {"conv2d_backward", "conv2d_bias_relu", "conv2d_groupnorm_silu", "conv_transpose2d", "pointwise_conv_bn",
           "resnet_block"}  # fmt: skip
"""Convolutions with full products over channels."""
SOME = ("bias_gelu_scale", "causal_attention", "channels_last", "cross_entropy_backward", "csr_spmm", "group_norm",
        "layer_norm_backward", "linear_gelu", "log_softmax", "max_pool2d", "segment_mean", "squeeze_excite",
        "swiglu_block", "transpose_2d")  # fmt: skip
"""One or two of each kind; the others with -m slow."""
SIZES = {"patchify": {"batch": 2, "channels": 3, "height": 16, "width": 24}}
"""Where sizes have to divide each other."""


def graph_of(name):
    """As the confined tracer gives it, traced here."""
    return read_graph(json.loads(json.dumps(trace(load_task(name).to_json()))))


def module_of(name):
    specification = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def several(results):
    return [each.detach() for each in (results if isinstance(results, (tuple, list)) else [results])]


def in_double(value):
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def check(name, schedule):
    """No error more than four times PyTorch's in float32, and eight roundings of the largest result."""
    torch.manual_seed(0)
    task = module_of(name)
    model = task.Model().train(task.TASK.get("mode") == "train")
    primes = (5, 7, 11, 13, 17)
    axes = {axis: max(2, min(size, primes[i % 5] * (3 if size >= 256 else 1)))
            for i, (axis, size) in enumerate(task.TASK["axes"].items())}  # fmt: skip
    inputs = task.get_inputs(**SIZES.get(name, axes))
    results, weights = several(model(*inputs)), [each.detach() for each in model.state_dict().values()]
    exact = several(copy.deepcopy(model).double()(*map(in_double, inputs)))
    tensors = [each.detach() for each in inputs if isinstance(each, torch.Tensor)]
    numbers = [each for each in inputs if not isinstance(each, torch.Tensor)]
    found, _ = run(generate(graph_of(name), schedule), tensors, results, weights, numbers)
    for mine, theirs, true in zip(found, results, exact, strict=True):
        if not true.is_floating_point():
            assert torch.equal(mine, true)
            continue
        assert torch.equal(mine.isfinite(), theirs.isfinite())
        finite = true.isfinite()
        errors = [(each.double() - true)[finite].abs().max() if finite.any() else 0 for each in (mine, theirs)]
        assert errors[0] <= 4 * errors[1] + 8 * UNIT * (true[finite].abs().max() if finite.any() else 0)


@pytest.mark.parametrize(
    "name", [*SOME, *(pytest.param(n, marks=pytest.mark.slow) for n in ALL if n not in {*SOME, *WITHOUT})]
)
def test_a_traced_graph_is_as_exact_as_pytorch(name):
    check(name, USUAL)


@pytest.mark.parametrize("schedule", [Schedule(apart=True), Schedule(tile=512, held=1024, lanes=32, keep=True)])
@pytest.mark.parametrize("name", ["layer_norm_backward", "log_softmax", "causal_attention"])
def test_schedules_change_nothing_but_the_speed(name, schedule):
    check(name, schedule)


@pytest.mark.slow
def test_all_graphs_but_those_with_convolutions_have_candidates():
    reasons = {}
    for name in ALL:
        try:
            writer_for(graph_of(name), name, TRITON)
        except InputError as error:
            reasons[name] = error.value
    assert set(reasons) == WITHOUT
    assert all("convolution" in reason for reason in reasons.values())


def test_candidates_differ_and_say_how_they_were_made():
    write = writer_for(graph_of("softmax"), "softmax", TRITON)
    found = {text_of(candidate): candidate for candidate in map(write, TRITON.starts)}
    assert len(found) >= 4
    for each in found.values():
        assert each.language is Language.TRITON
        assert TRITON.schedule_of(each) is not None
        assert "import torch" not in each.files[0].text
