"""Launch plans are data: small arithmetic over sizes, checked against what a GPU can launch, and nothing else."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.core.dtypes import DType
from assay.core.sources import SourceFile
from assay.core.tensors import TensorSpec
from assay.errors import CandidateError
from assay.launch.expressions import Expression
from assay.launch.plan import LaunchPlan, find_plan
from assay.launch.resolved import resolve

SOFTMAX = """
[sizes]
rows = "in0.shape[0]"
columns = "in0.numel // rows"

[scratch]
partial = "4 * rows"

[[launch]]
kernel = "row_softmax"
when = "columns <= 1024"
grid = ["rows"]
block = [128]
shared_bytes = "4 * columns"
arguments = ["in0", "out0", "partial", "i32 columns", "f32 1 / columns"]

[[launch]]
kernel = "row_softmax_wide"
when = "columns > 1024"
grid = ["cdiv(rows, 4)", 2]
block = [32, 4]
arguments = ["in0", "out0", "i64 rows"]
"""


def tensor(*shape, name="x"):
    strides = [1] * len(shape)
    for i in reversed(range(len(shape) - 1)):
        strides[i] = strides[i + 1] * shape[i + 1]
    return TensorSpec(name, DType.FLOAT32, shape, tuple(strides))


def resolved(text, *shape, **choices):
    return resolve(LaunchPlan.parse(text), [tensor(*shape)], [], [tensor(*shape)], **choices)


def one_launch(**entries):
    lines = {"kernel": '"k"', "arguments": "[]"} | entries
    return "[[launch]]\n" + "\n".join(f"{key} = {value}" for key, value in lines.items())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("cdiv(7, 2)", 4),
        ("min(3, max(1, 2))", 2),
        ("next_power_of_2(5)", 8),
        ("next_power_of_2(8)", 8),
        ("next_power_of_2(0)", 1),
        ("x.shape[0] * x.stride[0]", 15),
        ("x.numel // x.ndim", 7),
        ("-7 // 2", -4),
        ("1 if n > 3 else 2", 1),
        ("n < 3 or n == 4", 1),
        ("not n", 0),
        ("1 / n", 0.25),
        ("7 % n", 3),
    ],
)
def test_expressions_say_what_python_would(text, value):
    found = Expression.parse(text).number({"x": tensor(3, 5), "n": 4})
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "x.__class__",
        "x.shape[n]",
        "x.shape[-1]",
        "x.shape[99]",
        "2 ** 3",
        "1 << 90",
        "lambda: 1",
        "[1]",
        "open('f')",
        "min(1)",
        "min(1, 2, key=3)",
        "x.dtype",
        "'a' * 9",
        "(y := 3)",
        "1j",
        "n.numel.real",
        "f'{n}'",
        "1 < 2 < 3",
        "1 +",
        "",
        "+" * 999,
        "n" * 1001,
        "1 + " * 240 + "1",
        "-" * 900 + "1",
    ],
)
def test_anything_but_small_arithmetic_is_refused_when_it_is_read(text):
    with pytest.raises(CandidateError):
        Expression.parse(text)


@pytest.mark.parametrize("text", ["1 // 0", "1 % 0", "x.shape[2]", "missing", "x", "x + 1", "n.numel", "1e300 * 1e300",
                                  "9000000000 * 9000000000", "next_power_of_2(1.5)"])  # fmt: skip
def test_an_expression_without_a_value_here_is_a_clear_error(text):
    with pytest.raises(CandidateError, match="wrong expression"):
        Expression.parse(text).number({"x": tensor(3, 5), "n": 4})


@given(st.text(alphabet="0123456789+-*/%<>=() .,xnshapeifelorcdv[]", max_size=60))
def test_no_text_makes_the_reader_or_the_evaluation_fail_in_another_way(text):
    with contextlib.suppress(CandidateError):
        Expression.parse(text).number({"x": tensor(3, 5), "n": 4})


def test_a_plan_becomes_plain_numbers_for_the_shapes_of_a_call():
    found = resolved(SOFTMAX, 6, 1000)
    assert found.scratch_bytes == (24,)
    (launch,) = found.launches
    assert (launch.kernel, launch.index) == ("row_softmax", 0)
    assert (launch.grid, launch.block, launch.shared_bytes) == ((6, 1, 1), (128, 1, 1), 4000)
    assert [parameter.memory for parameter in launch.parameters[:3]] == [("in", 0), ("out", 0), ("scratch", 0)]
    assert launch.parameters[3].bytes == struct.pack("<i", 1000)
    assert launch.parameters[4].bytes == struct.pack("<f", 1 / 1000)


def test_other_shapes_launch_other_kernels():
    (launch,) = resolved(SOFTMAX, 6, 2000).launches
    assert (launch.kernel, launch.grid, launch.block) == ("row_softmax_wide", (2, 2, 1), (32, 4, 1))
    assert launch.parameters[2].bytes == struct.pack("<q", 6)


def test_an_empty_grid_launches_nothing():
    assert resolved(one_launch(grid='["in0.shape[0]"]'), 0, 3).launches == ()


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"grid": "[0, -1]"}, "grid"),
        ({"grid": "[1, 65536]"}, "grid"),
        ({"block": "[1025]"}, "block"),
        ({"block": "[0]"}, "block"),
        ({"block": "[32, 33]"}, "1024 threads"),
        ({"block": "[1, 1, 65]"}, "block"),
        ({"shared_bytes": "-1"}, "shared"),
        ({"shared_bytes": "233473"}, "shared"),
        ({"cluster": "[16]"}, "cluster"),
        ({"cluster": "[2]", "grid": "[3]"}, "multiple"),
        ({"arguments": '["in1"]'}, "this call has 1"),
        ({"arguments": '["i32 3000000000"]'}, "fits i32"),
        ({"arguments": '["u32 -1"]'}, "fits u32"),
        ({"arguments": '["i32 0.5"]'}, "an integer is needed"),
        ({"when": "0"}, "launches nothing"),
    ],
)
def test_what_no_gpu_launches_is_refused_with_the_limit(entries, message):
    with pytest.raises(CandidateError, match=message):
        resolved(one_launch(**entries), 4, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = [", "not TOML"),
        ("", "no launch"),
        ("launch = 3", "no launch"),
        ("[other]\n" + one_launch(), "unknown table"),
        (one_launch(kernel="3 + 4"), "TOML"),
        (one_launch(kernel='"a b"'), "names no kernel"),
        (one_launch(grids="[1]"), "unknown key"),
        (one_launch(grid="[1, 1, 1, 1]"), "no list of sizes"),
        (one_launch(grid="1"), "no list of sizes"),
        (one_launch(grid='["rows"]'), "unknown name"),
        (one_launch(arguments='["rows"]'), "unknown argument"),
        (one_launch(arguments='["i16 3"]'), "unknown argument"),
        (one_launch(arguments="[3]"), "no list of texts"),
        (one_launch(num_warps="64"), "out of range"),
        (one_launch(constants="{ A = 'x' }"), "no table of numbers"),
        ("[sizes]\nin0 = 3\n" + one_launch(), "taken"),
        ("[sizes]\nmin = 3\n" + one_launch(), "taken"),
        ("[sizes]\na = 'b'\nb = 3\n" + one_launch(), "unknown name"),
        ("[sizes]\na = 1\n[scratch]\na = 1\n" + one_launch(), "taken"),
        ("[sizes]\na = true\n" + one_launch(), "no expression"),
        (one_launch() + ("\n" + one_launch()) * 64, "no launch, or too many"),
    ],
)
def test_a_wrong_plan_names_its_wrong_entry(text, message):
    with pytest.raises(CandidateError, match=message):
        LaunchPlan.parse(text)


def test_scratch_has_limits():
    with pytest.raises(CandidateError, match="scratch"):
        resolved('[scratch]\na = "-1"\n' + one_launch(), 4, 4)
    with pytest.raises(CandidateError, match="scratch"):
        resolved('[scratch]\na = "8000000000"\n' + one_launch(), 4, 4)


def test_a_plan_stands_in_its_own_file_or_in_the_first_comment():
    source = SourceFile("k.cu", '__global__ void k() {}\n/* launch.toml\n[[launch]]\nkernel = "no"\n*/')
    assert find_plan([source, SourceFile("launch.toml", one_launch())]).kernels == ("k",)
    assert find_plan([SourceFile("k.cu", f"/* launch.toml\n{one_launch()}\n*/\n{source.text}")]).kernels == ("k",)
    assert find_plan([SourceFile("k.py", f'"""launch.toml\n{one_launch()}\n"""\n')]).kernels == ("k",)
    with pytest.raises(CandidateError, match="needs a launch plan"):
        find_plan([source])
    with pytest.raises(CandidateError, match="several launch plans"):
        find_plan([SourceFile("k.cu", f"/* launch.toml\n{one_launch()}*/"), SourceFile("launch.toml", one_launch())])
