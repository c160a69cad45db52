"""Which loop is innermost, what is taken out of it, and how data lie in memory."""

import sympy
from synthetic_graphs import COLS, ROWS, graph_data, node, ref, softmax, tensor

from assay.core.dtypes import DType
from assay.engineer.codegen import index as ix
from assay.engineer.codegen.fuse import Kernel, _split
from assay.engineer.codegen.generate import generate
from assay.engineer.codegen.group import grouped
from assay.engineer.codegen.index import FloorDiv, Loop, Modulo
from assay.engineer.codegen.program import Buffer, Kind, Place, Program, Statement
from assay.engineer.codegen.scalars import load
from assay.engineer.codegen.schedule import Schedule
from assay.engineer.graph import read_graph

FULL = tensor([ROWS, COLS])


def text(graph, **choices):
    return generate(graph, Schedule(**choices), "made").files[0].text


def with_input(nodes, outputs, name, kind):
    """A graph with one more argument."""
    data = graph_data(nodes, outputs)
    data["nodes"].insert(1, {"name": name, "op": "placeholder", "args": [], "out": [kind]})
    data["placeholders"].append(name)
    data["arguments"].append("tensor")
    return read_graph(data)


def scaled_rows():
    wide = [{"size": ROWS}, {"size": COLS}]
    nodes = [
        node("s", "prims.sqrt.default", [ref("w")], tensor([ROWS])),
        node("b", "prims.broadcast_in_dim.default", [ref("s"), wide, [0]], FULL),
        node("y", "prims.div.default", [ref("x"), ref("b")], FULL),
    ]
    return with_input(nodes, ["y"], "w", tensor([ROWS]))


def body(written):
    """The innermost loop."""
    return written[written.index("#pragma omp simd") :]


def test_the_lane_is_what_no_access_is_scattered_along_even_if_other_axes_have_more_contiguous_ones():
    written = text(scaled_rows())
    assert "w[" not in body(written), "one weight serves a whole row"
    assert "x[" in body(written)


def test_what_does_not_depend_on_the_lane_is_computed_before_its_loop():
    written = text(scaled_rows(), reciprocal=False)
    assert "std::sqrt" in written
    assert "std::sqrt" not in body(written)


def test_what_a_whole_loop_is_divided_by_is_turned_around_once_unless_the_schedule_forbids_it():
    for graph in (scaled_rows(), softmax()):
        assert "1.0f / " in text(graph)
        assert " / " not in body(text(graph)).split("return 0")[0].replace("1.0f / v_", "")
        assert "1.0f / " not in text(graph, reciprocal=False)


def test_an_axis_that_positions_divide_becomes_two_without_divisions():
    rows = sympy.Symbol("s1", integer=True, positive=True)
    axis, eight = Loop("i", 8 * rows), sympy.Integer(8)
    turned = load(DType.FLOAT32, "x", FloorDiv(axis, eight) + Modulo(axis, eight) * rows)
    step = _split(Statement(Kind.MAP, "t", (axis,), axis, turned))
    assert [one.size for one in step.axes] == [rows, eight]
    assert not step.body.offset.atoms(FloorDiv, Modulo)
    assert step.target == 8 * step.axes[0] + step.axes[1]


def test_a_scans_own_axis_stays_whole():
    rows = sympy.Symbol("s1", integer=True, positive=True)
    axis = Loop("i", 8 * rows)
    divided = load(DType.FLOAT32, "x", FloorDiv(axis, sympy.Integer(8)))
    step = Statement(Kind.SCAN, "t", (axis,), axis, divided, "sum", (axis,))
    assert _split(step) is step


def test_products_over_the_axes_of_a_group_are_called_piece_by_piece():
    heads, rows, cols = ["s", "s1"], 32, 16
    scores = tensor([heads, rows, rows])
    wide = [heads, rows, cols]
    nodes = [
        node("t", "prims.transpose.default", [ref("x"), [0, 2, 1]], tensor([heads, cols, rows])),
        node("p", "aten.bmm.default", [ref("x"), ref("t")], scores),
        node("e", "prims.exp.default", [ref("p")], scores),
        node("y", "aten.bmm.default", [ref("e"), ref("x")], tensor(wide)),
    ]
    written = text(read_graph(graph_data(nodes, ["y"], shape=wide)))
    assert written.count("omp parallel for") == 1
    assert written.count("multiply_alone(") == 2
    assert "x + piece * 512" in written
    assert text(read_graph(graph_data(nodes, ["y"], shape=wide)), group=False).count("multiply(") == 2


def test_what_only_needs_a_products_own_element_is_done_where_it_was_computed():
    square = [32, 32]
    nodes = [
        node("p", "aten.mm.default", [ref("x"), ref("x")], tensor(square)),
        node("e", "prims.exp.default", [ref("p")], tensor(square)),
    ]
    graph = read_graph(graph_data(nodes, ["e"], shape=square))
    assert "threads, [&](int64_t top, int64_t rows, int64_t first, int64_t count)" in text(graph)
    assert "omp parallel for" not in text(graph)
    assert text(graph, group=False).count("omp parallel for") == 1


def test_what_needs_a_products_other_elements_waits_for_all_of_them():
    square = [32, 32]
    nodes = [
        node("p", "aten.mm.default", [ref("x"), ref("x")], tensor(square)),
        node("t", "prims.transpose.default", [ref("p"), [1, 0]], tensor(square)),
        node("s", "prims.add.default", [ref("p"), ref("t")], tensor(square)),
    ]
    written = text(read_graph(graph_data(nodes, ["s"], shape=square)))
    assert "threads, [&]" not in written
    assert written.count("omp parallel for") == 1


def test_truth_values_are_bytes_in_memory_and_as_wide_as_numbers_once_loaded():
    nodes = [node("y", "prims.where.default", [ref("m"), ref("x"), {"float": "0.0"}], FULL)]
    written = text(with_input(nodes, ["y"], "m", tensor([ROWS, COLS], dtype="bool")))
    assert "const uint8_t* __restrict m" in written
    assert "const int32_t x" in written
    assert "bool" not in written


def chain_of_kernels(turned):
    """y -> t -> u -> out over planes [32, 32, 64]; `out` reads u's planes in their order, or turned."""
    size = sympy.Integer(32)
    whole = ix.contiguous((size, size, sympy.Integer(64)))
    program = Program(hints={})
    for name, place in {"y": Place.INPUT, "t": Place.TEMPORARY, "u": Place.TEMPORARY, "out": Place.OUTPUT}.items():
        program.buffers[name] = Buffer(name, (size, size, sympy.Integer(64)), whole, DType.FLOAT32, place)
    kernels = []
    for source, target in (("y", "t"), ("t", "u"), ("u", "out")):
        axes = a, b, c = Loop("i", size), Loop("i", size), Loop("i", sympy.Integer(64))
        read = (b, a, c) if turned and source == "u" else axes
        body = load(DType.FLOAT32, source, ix.flatten(read, whole))
        kernels.append(Kernel(axes, (), [Statement(Kind.MAP, target, axes, ix.flatten(axes, whole), body)]))
    border = Loop("i", sympy.Integer(8))
    zero = load(DType.FLOAT32, "y", sympy.Integer(0))
    return program, [Kernel((border,), (), [Statement(Kind.MAP, "u", (border,), border, zero)]), *kernels]


def test_kernels_that_read_what_other_pieces_write_do_not_share_a_loop():
    """With as many images as channels their axes look alike; a thread read a plane that another had yet to write."""
    _, straight, *_ = grouped(*chain_of_kernels(turned=False))
    assert [len(straight.kernels), set(straight.pieces)] == [3, {"t"}]
    _, short, *_ = grouped(*chain_of_kernels(turned=True))
    assert len(short.kernels) == 2
