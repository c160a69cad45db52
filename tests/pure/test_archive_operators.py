"""Operator signatures: one spelling for one operator, likenesses known by hand, nothing accepted that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.archive.operators import MAX_OPERATORS, OperatorSignature, normalise, shares_an_operator, similarity

NAMES = st.sampled_from(["aten.mm", "aten.relu", "aten.softmax.int", "aten.add.Tensor", "aten.gelu"])
SIGNATURES = st.builds(
    OperatorSignature,
    st.lists(NAMES, min_size=1, max_size=6).map(tuple),
    st.lists(st.sampled_from(["float32", "bfloat16"]), max_size=3).map(tuple),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("aten.softmax.int", "aten.softmax.int"),
        ("torch.ops.aten.relu.default", "aten.relu"),
        ("aten::relu_", "aten.relu"),
        ("aten.add_.Tensor", "aten.add.Tensor"),
        (" aten.mm ", "aten.mm"),
        ("aten.__and__.Tensor", "aten.__and__.Tensor"),
        ("aten._softmax", "aten._softmax"),
    ],
)
def test_one_operator_has_one_name(name, plain):
    assert normalise(name) == plain
    assert normalise(plain) == plain


@pytest.mark.parametrize(
    "name", ["", "relu", "aten.", "aten.re lu", "aten.relu;drop", "aten.r\u00e9lu", "a." + "x" * 200]
)
def test_what_is_no_operators_name_is_refused(name):
    with pytest.raises(ValueError, match="no operator"):
        OperatorSignature((name,))


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (((),), "operators; a signature has"),
        ((("aten.mm",) * (MAX_OPERATORS + 1),), "operators; a signature has"),
        ((("aten.mm",), ("float33",)), "float33"),
        ((("aten.mm",), (), (9,)), "rank 9"),
        ((("aten.mm",), (), (-1,)), "rank -1"),
        ((("aten.mm",), (), (True,)), "rank True"),
    ],
)
def test_an_impossible_signature_cannot_be_built(parts, words):
    with pytest.raises(ValueError, match=words):
        OperatorSignature(*parts)


def of(*operators, dtypes=(), ranks=()):
    return OperatorSignature(operators, dtypes, ranks)


def test_known_likenesses_are_what_they_are_by_hand():
    chain = of("aten.mm", "aten.relu")  # 1 + 1 + 0.5 for the pair
    assert similarity(chain, chain) == 1.0
    assert similarity(chain, of("aten.mm")) == pytest.approx(1 / 2.5)
    assert similarity(chain, of("aten.relu", "aten.mm")) == pytest.approx(2 / 3)
    assert similarity(chain, of("aten.mm", "aten.gelu")) == pytest.approx(1 / 4)
    assert similarity(of("aten.mm", "aten.mm"), of("aten.mm")) == pytest.approx(1 / 2.5)
    assert similarity(of("aten.mm"), of("aten.gelu")) == 0.0
    typed = of("aten.mm", dtypes=("float32",), ranks=(2,))
    assert similarity(typed, of("aten.mm", dtypes=("bfloat16",), ranks=(2,))) == pytest.approx(1.25 / 1.75)


def test_types_and_ranks_alone_are_no_common_ground():
    one, other = (of(name, dtypes=("float32",), ranks=(2,)) for name in ("aten.mm", "aten.gelu"))
    assert similarity(one, other) > 0
    assert not shares_an_operator(one, other)


@given(SIGNATURES, SIGNATURES)
def test_likeness_is_symmetric_bounded_and_whole_for_the_same(one, other):
    assert similarity(one, other) == pytest.approx(similarity(other, one))
    assert 0 <= similarity(one, other) <= 1
    assert similarity(one, one) == 1.0
    if similarity(one, other) == 0:
        assert not shares_an_operator(one, other)


@given(SIGNATURES, SIGNATURES, SIGNATURES)
def test_what_is_like_the_like_is_no_stranger(one, two, three):
    """1 minus a weighted Jaccard index is a metric: the way round is never shorter."""
    apart = [1 - similarity(a, b) for a, b in ((one, two), (two, three), (one, three))]
    assert apart[2] <= apart[0] + apart[1] + 1e-9


@given(SIGNATURES)
def test_a_signature_survives_its_json_and_keeps_its_identity(signature):
    again = OperatorSignature.from_json(signature.to_json())
    assert again == signature
    assert again.identity == signature.identity


def test_the_identity_is_over_all_of_it_and_never_changes():
    base = of("aten.mm", "aten.relu", dtypes=("float32",), ranks=(2,))
    assert base.identity == of("aten::mm", "aten.relu_", dtypes=("float32",), ranks=(2,)).identity
    others = (
        of("aten.relu", "aten.mm", dtypes=("float32",), ranks=(2,)),
        of("aten.mm", "aten.relu", dtypes=("float64",), ranks=(2,)),
        of("aten.mm", "aten.relu", dtypes=("float32",), ranks=(3,)),
    )
    assert len({base.identity, *(other.identity for other in others)}) == 4
    assert base.identity == "4f7b0d36534fd26d99db9eaee94660696f9796f9283718b33bae30063f8a3960"


@pytest.mark.parametrize(
    "data",
    [
        None, [], "aten.mm", {}, {"operators": ["aten.mm"]}, {"operators": "aten.mm", "dtypes": [], "ranks": []},
        {"operators": [1], "dtypes": [], "ranks": []}, {"operators": ["aten.mm"], "dtypes": [None], "ranks": []},
        {"operators": ["aten.mm"], "dtypes": [], "ranks": ["2"]}, {"operators": [["a"]], "dtypes": [], "ranks": []},
        {"operators": ["aten.mm"], "dtypes": [], "ranks": [], "more": 1},
    ],
)  # fmt: skip
def test_json_from_anybody_is_a_signature_or_a_value_error(data):
    with pytest.raises(ValueError, match=r"signature|operator|rank"):
        OperatorSignature.from_json(data)
