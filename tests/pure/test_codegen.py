"""Lowering, fusing and writing, on graphs made by hand."""

from dataclasses import replace

import pytest
import sympy
from synthetic_graphs import COLS, ROWS, graph_data, node, ref, softmax, softmax_data, tensor

from assay.core.dtypes import DType
from assay.engineer.codegen.fuse import Kernel, fuse
from assay.engineer.codegen.generate import generate
from assay.engineer.codegen.lower import lower
from assay.engineer.codegen.program import Kind, Unsupported
from assay.engineer.codegen.rewrite import rewritten
from assay.engineer.codegen.scalars import call, constant, load, rebuilt
from assay.engineer.codegen.schedule import CHOICES, Schedule
from assay.engineer.graph import read_graph
from assay.errors import InputError

F = DType.FLOAT32


def text(graph, **choices):
    return generate(graph, Schedule(**choices), "made").files[0].text


def test_a_softmax_is_three_passes_over_a_row_in_one_kernel():
    kernels = fuse(lower(softmax()))
    assert [type(kernel) for kernel in kernels] == [Kernel]
    assert [step.kind for step in kernels[0].steps] == [Kind.REDUCE, Kind.MAP, Kind.REDUCE, Kind.MAP]
    assert text(softmax()).count("#pragma omp simd") == 3


def test_the_exponential_is_kept_or_computed_twice_as_the_schedule_says():
    assert text(softmax(), keep=True).count("exp_(") == 1
    assert text(softmax(), keep=False).count("exp_(") == 2


def test_nothing_is_fused_where_the_schedule_says_so():
    assert text(softmax(), apart=True, group=False).count("omp parallel for") == 4


def test_two_maps_over_transposed_places_do_not_share_a_loop():
    turned = tensor([COLS, ROWS])
    graph = read_graph(
        graph_data(
            [
                node("a", "prims.exp.default", [ref("x")], tensor([ROWS, COLS])),
                node("t", "prims.transpose.default", [ref("a"), [1, 0]], turned),
                node("b", "prims.neg.default", [ref("t")], turned),
            ],
            ["a", "b"],
        )
    )
    assert len(fuse(lower(graph))) == 2


def test_a_long_sum_in_single_precision_is_summed_in_parts():
    graph = read_graph(graph_data([node("s", "prims.sum.default", [ref("x"), [1]], tensor([ROWS]))], ["s"]))
    assert "double total_" in text(graph)


def test_a_sum_over_the_first_axis_goes_by_lanes_of_the_last():
    graph = read_graph(graph_data([node("s", "prims.sum.default", [ref("x"), [0]], tensor([COLS]))], ["s"]))
    written = text(graph, lanes=32)
    assert "[32]" in written
    assert "lane < count" in written


def test_calls_of_another_layout_are_refused_by_the_kernel():
    assert "return 1;" in text(softmax())


def test_streaming_goes_past_the_caches_only_for_results():
    assert text(softmax(), stream=True).count("stream(&") == 1
    assert "stream(&" not in text(softmax(), stream=False)


def test_an_unknown_operator_is_named():
    graph = read_graph(graph_data([node("y", "aten.wonder.default", [ref("x")], tensor([ROWS, COLS]))], ["y"]))
    with pytest.raises(Unsupported, match=r"aten\.wonder"):
        lower(graph)


@pytest.mark.parametrize("name", ["s0;abort()", "S0", "", "s" * 20])
def test_a_size_with_a_strange_name_never_reaches_a_compiler(name):
    data = softmax_data()
    data["nodes"][0]["out"][0]["shape"][0] = ["s", name]
    with pytest.raises(InputError, match="strange name"):
        read_graph(data)


def test_an_operator_with_a_strange_name_never_reaches_a_compiler():
    data = softmax_data()
    data["nodes"][1]["name"] = 'm;system("true")'
    with pytest.raises(InputError, match="strange name"):
        read_graph(data)


def test_a_tracer_that_found_no_graph_says_why():
    with pytest.raises(InputError, match="because"):
        read_graph({"error": "because"})


def test_equal_expressions_are_one_object():
    a, b = (call(F, "add", load(F, "x", sympy.Integer(1)), constant(F, 2.0)) for _ in range(2))
    assert a is b
    assert rebuilt(a, {}) is a


def test_tanh_of_softplus_needs_one_exponential():
    x = load(F, "x", sympy.Integer(0))
    soft = call(F, "log1p", call(F, "exp", x))
    made = rewritten(call(F, "tanh", soft))
    assert made.function == "div"


def test_a_scaled_difference_is_factored_so_that_it_loses_no_digits():
    x, m, s, b = (load(F, name, sympy.Integer(0)) for name in "xmsb")
    made = rewritten(call(F, "add", call(F, "mul", x, s), call(F, "add", call(F, "mul", m, s), b)))
    wanted = call(F, "add", call(F, "mul", call(F, "add", x, m), s), b)
    assert made is wanted


def test_every_choice_of_a_schedule_survives_json():
    for name, values in CHOICES.items():
        for value in values:
            schedule = Schedule(**{name: value})
            assert Schedule.from_json(schedule.to_json()) == schedule


def test_a_schedule_off_the_list_is_refused():
    with pytest.raises(ValueError, match="lanes"):
        Schedule.from_json(Schedule().to_json() | {"lanes": 7})


def pooled():
    n, c = ["s", "s3"], ["s", "s4"]
    small = tensor([n, c, ["+", 1, ["//", ["+", -1, ROWS], 2]], ["+", 1, ["//", ["+", -1, COLS], 2]]])
    pool = {
        "name": "p", "op": "aten.max_pool2d_with_indices.default", "args": [ref("x"), [3, 3], [2, 2], [1, 1]],
        "kwargs": {}, "out": [small, small | {"dtype": "int64"}],
    }  # fmt: skip
    data = graph_data([pool, node("y", "getitem", [ref("p"), 0], small)], ["y"], shape=(n, c, ROWS, COLS))
    return read_graph(data | {"hints": {"s1": 56, "s2": 56, "s3": 8, "s4": 16}})


def test_padding_and_pooling_go_plane_by_plane():
    written = text(pooled())
    assert written.count("omp parallel for") == 1
    assert "piece" in written
    assert text(pooled(), group=False).count("omp parallel for") == 5


def test_planes_that_do_not_fit_a_cache_are_padded_as_a_whole_and_pooled_row_by_row():
    graph = pooled()
    large = text(replace(graph, hints={**graph.hints, "s1": 4096, "s2": 4096}))
    assert large.count("omp parallel for") == 4
    assert "piece < (s3 * s4);" in text(graph)
    assert "piece < (s3 * s4);" not in large


def test_a_scan_along_rows_does_several_rows_at_once_without_vectors():
    scan = node("y", "aten.cumsum.default", [ref("x"), 1], tensor([ROWS, COLS]))
    graph = read_graph(graph_data([scan], ["y"]))
    assert "carry_" in text(graph)
    assert "[8]" in text(graph, interleave=8)
    assert "#pragma omp simd" not in text(graph, interleave=8)
    assert "[8]" not in text(graph, interleave=1)


def test_a_program_knows_nothing_of_the_one_before():
    turned = tensor([COLS, ROWS])
    transpose = [node("t", "prims.transpose.default", [ref("x"), [1, 0]], turned),
                 node("y", "prims.neg.default", [ref("t")], turned)]  # fmt: skip
    data = graph_data(transpose, ["y"])
    whole = graph_data(transpose, ["y"])
    whole["nodes"] = [n | {"out": [o | {"dtype": "int64"} for o in n["out"]]} for n in whole["nodes"]]
    first = text(read_graph(data))
    integers = text(read_graph(whole))
    assert "int64_t x1" in integers
    assert text(read_graph(data)) == first
    assert "const int64_t tile" in first


def test_a_product_reads_what_was_turned_twice_where_it_lies_and_fills_its_result_itself():
    square, turned = tensor([COLS, COLS]), tensor([COLS, ROWS])
    graph = read_graph(
        graph_data(
            [
                node("t", "prims.transpose.default", [ref("x"), [1, 0]], turned),
                node("u", "prims.transpose.default", [ref("t"), [1, 0]], tensor([ROWS, COLS])),
                node("p", "aten.mm.default", [ref("t"), ref("u")], square),
                node("q", "prims.transpose.default", [ref("p"), [1, 0]], square),
                node("r", "prims.transpose.default", [ref("q"), [1, 0]], square),
            ],
            ["r"],
        )
    )
    program = lower(graph)
    (product,) = program.steps
    assert (product.left, product.left_turned, product.right, product.right_turned) == ("x", True, "x", False)
    assert program.outputs == [product.buffer]


def test_only_a_kernel_that_chooses_is_compiled_without_the_search_for_redundancies():
    full = tensor([ROWS, COLS])
    plain = [node("y", "prims.exp.default", [ref("x")], full)]
    choice = [node("c", "prims.gt.default", [ref("x"), 0.0], tensor([ROWS, COLS], dtype="bool")),
              node("e", "prims.exp.default", [ref("x")], full),
              node("y", "prims.where.default", [ref("c"), ref("x"), ref("e")], full)]  # fmt: skip
    made = [generate(read_graph(graph_data(nodes, ["y"])), Schedule(), "made").flags for nodes in (plain, choice)]
    assert ["-fno-tree-pre" in flags for flags in made] == [False, True]
