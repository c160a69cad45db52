"""Traced graphs of the built-in tasks as Triton: right in the interpreter, and which of them have no kernel yet."""

import copy
import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import assay.tasks
from assay.core.sources import Language
from assay.engineer.graph import read_graph
from assay.engineer.proposers.generators import TRITON, text_of, writer_for
from assay.engineer.tracer import trace, trace_model
from assay.engineer.triton import emit
from assay.engineer.triton.generate import generate
from assay.engineer.triton.schedule import USUAL, Schedule
from assay.errors import InputError
from assay.tasks.load import load_task
from tests.gpu.families.agreement import UNIT, agree, sum_rounds
from tests.gpu.families.interpreter import run

FOLDER = Path(assay.tasks.__file__).with_name("builtin")
ALL = sorted(path.stem for path in FOLDER.glob("*.py"))
SOME = ("bias_gelu_scale", "causal_attention", "channels_last", "conv2d_bias_relu", "conv_transpose2d",
        "cross_entropy_backward", "csr_spmm", "group_norm",
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


@pytest.mark.parametrize("name", [*SOME, *(pytest.param(n, marks=pytest.mark.slow) for n in ALL if n not in SOME)])
def test_a_traced_graph_is_as_exact_as_pytorch(name):
    check(name, USUAL)


@pytest.mark.parametrize("schedule", [Schedule(apart=True), Schedule(tile=512, held=1024, lanes=32, keep=True)])
@pytest.mark.parametrize("name", ["layer_norm_backward", "log_softmax", "causal_attention"])
def test_schedules_change_nothing_but_the_speed(name, schedule):
    check(name, schedule)


@pytest.mark.slow
def test_all_built_in_graphs_have_candidates():
    for name in ALL:
        assert writer_for(graph_of(name), name, TRITON)(TRITON.starts[0]).files


def test_candidates_differ_and_say_how_they_were_made():
    write = writer_for(graph_of("softmax"), "softmax", TRITON)
    found = {text_of(candidate): candidate for candidate in map(write, TRITON.starts)}
    assert len(found) >= 4
    for each in found.values():
        assert each.language is Language.TRITON
        assert TRITON.schedule_of(each) is not None
        assert "import torch" not in each.files[0].text


def test_a_graph_without_a_kernel_says_why():
    with pytest.raises(InputError, match="lgamma"):
        writer_for(traced(torch.lgamma, lambda n: [torch.rand(n, 3)], {"n": 8}), "lgamma", TRITON)


def traced(model, get_inputs, axes):
    return read_graph(json.loads(json.dumps(trace_model(torch, model, get_inputs, axes))))


CONVOLUTIONS = {
    "plain": (nn.Conv2d, {"kernel_size": 3, "padding": 1}), "stepping": (nn.Conv2d, {"kernel_size": 3, "stride": 2}),
    "dilated": (nn.Conv2d, {"kernel_size": (2, 3), "dilation": 2, "padding": (0, 1), "bias": False}),
    "grouped": (nn.Conv2d, {"kernel_size": 3, "groups": 2}), "a line": (nn.Conv1d, {"kernel_size": 5, "stride": 3}),
    "a space": (nn.Conv3d, {"kernel_size": 2}), "points": (nn.Conv2d, {"kernel_size": 1}),
    "turned": (nn.ConvTranspose2d, {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1}),
    "turned, grouped": (nn.ConvTranspose1d, {"kernel_size": 4, "stride": 2, "padding": 1, "groups": 2}),
    "turned, spread": (nn.ConvTranspose2d, {"kernel_size": (3, 7), "padding": (1, 0), "dilation": (1, 2)}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(CONVOLUTIONS))
def test_convolutions_of_all_kinds(name):
    kind, choices = CONVOLUTIONS[name]
    dims = next(d for d in (1, 2, 3) if f"{d}d" in kind.__name__)
    torch.manual_seed(0)
    model = kind(4, 6, **choices).eval()
    source = generate(traced(model, lambda batch: [torch.randn(batch, 4, *(6, 5, 7)[-dims:])], {"batch": 4}), USUAL)
    x = torch.randn(3, 4, *(6, 5, 7)[-dims:])
    exact = copy.deepcopy(model).double()(x.double()).detach()
    inner = copy.deepcopy(model).double()
    for parameter in inner.parameters():
        parameter.data.abs_()
    weights = [each.detach() for each in model.state_dict().values()]
    (found,), _ = run(source, [x], [exact.float()], weights)
    agree(found, exact, inner(x.double().abs()).detach(), sum_rounds(4 * 21) + 8)


def test_many_rows_are_added_to_few_in_parts():
    """The parts' edges are masks around the masks of what is addressed to a row."""

    def model(base, index, rows):
        return base.index_add(0, index, rows)

    def inputs(n, width):
        return [torch.randn(2, width), torch.randint(2, (n,)), torch.randn(n, width)]

    source = generate(traced(model, inputs, {"n": 4096, "width": 8}), USUAL)
    assert len(source.plan.kernels) > 1
    for n in (1, 5, 300):
        base, index, rows = inputs(n, 7)
        exact = base.double().index_add(0, index, rows.double())
        (found,), _ = run(source, [base, index, rows], [base])
        agree(found, exact, base.double().abs().index_add(0, index, rows.double().abs()), sum_rounds(n) + 4)
    text = source.text.partition("def k0(")[2].partition("@triton.jit")[0]
    assert re.search(r"(x\d+) = x\d+ & x\d+\n.*mask=\w+ & \1", text, re.DOTALL), "a row is read outside of its part"


@pytest.mark.parametrize("name", ["softmax", "linear_gelu", "causal_attention", "conv2d_bias_relu", "index_add"])
def test_places_beyond_32_bits_take_kernels_of_their_own(name, monkeypatch):
    """As if 8 elements were more than 32 bits reach."""
    before = generate(graph_of(name), USUAL).plan.launches
    monkeypatch.setattr(emit, "_NARROW", 8)
    source = generate(graph_of(name), USUAL)
    wide = [dict(launch.constants)["WIDE"] for launch in source.plan.launches]
    assert 1 in wide
    assert len(before) >= len(wide)
    check(name, USUAL)
