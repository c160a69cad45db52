"""Hidden shapes: what a task allows, of every kind, and never known beforehand."""

from assay.referee.correctness.boundary import boundary_shapes, choose
from assay.referee.protocol.secret import Secret

DECLARED = {
    "axes": {"rows": 1024, "cols": 1000},
    "limits": {"rows": {"max": 2048}, "cols": {"min": 8, "max": 1536, "multiple_of": 8}},
}


def test_shapes_keep_within_limits_multiples_and_twice_the_timed_volume():
    for _ in range(20):
        for shape in boundary_shapes(DECLARED, 32, Secret()):
            rows, cols = shape.axes["rows"], shape.axes["cols"]
            assert 1 <= rows <= 2048
            assert 8 <= cols <= 1536
            assert cols % 8 == 0, "1000 is a multiple too"
            assert rows * cols <= 2 * 1024 * 1000


def test_every_axis_is_tried_just_above_its_timed_size_and_at_its_largest():
    kinds = {shape.kind: shape.axes for shape in boundary_shapes(DECLARED, 32, Secret())}
    assert kinds["rows largest"]["rows"] == 2048
    assert kinds["cols largest"] == {"rows": 1024, "cols": 1536}, "the others as timed where that is not too much"
    assert 1024 < kinds["rows above"]["rows"] < 2048
    assert 1000 < kinds["cols above"]["cols"] < 1536


def test_every_axis_is_tried_with_tails_below_and_above_one_vector():
    kinds = {shape.kind: shape.axes for shape in boundary_shapes(DECLARED, 32, Secret())}
    assert kinds["rows short tail"]["rows"] % 32 in range(1, 16)
    assert kinds["rows long tail"]["rows"] % 32 in range(17, 32)
    assert kinds["rows long tail"]["cols"] == 1000


def test_the_first_choice_changes_every_axis():
    kinds = ["a odd", "b odd", "a odd", "least", "any", "b long tail"]
    first = [choose(kinds, 2, Secret())[0] for _ in range(100)]
    assert {kinds[i] for i in first} == {"least", "any"}
    assert choose(["a odd", "b odd"], 3, Secret()) in ([0, 1], [1, 0])


def test_a_choice_takes_one_of_each_kind_before_any_twice():
    kinds = ["least", "a odd", "a odd", "a odd", "b odd", "any", "any"]
    for _ in range(30):
        chosen = choose(kinds, 5, Secret())
        assert len(set(chosen)) == 5
        assert {kinds[i] for i in chosen[:4]} == set(kinds)


def test_no_two_shapes_are_the_same_and_none_is_the_timed_one():
    shapes = [tuple(shape.axes.values()) for shape in boundary_shapes(DECLARED, 32, Secret())]
    assert len(set(shapes)) == len(shapes)
    assert (1024, 1000) not in shapes


def test_a_task_without_limits_has_no_hidden_shapes():
    assert boundary_shapes({"axes": {"n": 10}}, 8, Secret()) == []
