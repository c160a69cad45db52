"""The routing operator against PyTorch's sorts."""

import pytest
import torch

from assay.errors import InputError
from assay.sparse.routing import _route_plain, route


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("tokens", "groups", "taken"), [(1, 1, 1), (7, 5, 1), (40, 16, 2), (9, 4, 4), (0, 3, 2), (50, 64, 8)]
)
def test_groups_and_rows_are_those_of_stable_sorts(instruction_set, tokens, groups, taken, dtype):
    scores = torch.randn(tokens, groups, generator=torch.Generator().manual_seed(0), dtype=dtype)
    for found, expected in zip(route(scores, taken), _route_plain(scores, taken), strict=True):
        assert torch.equal(found, expected)


def test_of_equal_scores_the_first_group_is_taken():
    scores = torch.tensor([[0.5, 1.0, 1.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    index, ends, pairs, tokens = route(scores, 3)
    assert index.tolist() == [[1, 2, 0], [0, 1, 2]]
    assert ends.tolist() == [2, 4, 6, 6]
    assert pairs.tolist() == [2, 3, 0, 4, 1, 5]
    assert tokens.tolist() == [0, 1, 0, 1, 0, 1]


def test_infinite_scores_have_a_place_and_nan_has_none(instruction_set):
    assert route(torch.tensor([[-float("inf"), 1.0, float("inf")]]), 2)[0].tolist() == [[2, 1]]
    with pytest.raises(InputError, match="is NaN"):
        route(torch.tensor([[0.0, float("nan")]]), 1)


def test_the_operator_is_registered_as_pytorch_wants_it():
    torch.library.opcheck(torch.ops.assay.route.default, (torch.randn(6, 4), 2))
    with pytest.raises(InputError, match="cannot be routed"):
        route(torch.randn(6, 4), 5)
