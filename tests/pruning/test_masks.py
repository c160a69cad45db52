"""Masks: what can be pruned, exact counts, and errors with a reason."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_pruning

from assay.errors import InputError
from assay.pruning.counts import apportion, kept_count, share_out
from assay.pruning.masks import apply_mask, check_mask, density, full_mask, keep_largest, nonzero_mask
from assay.pruning.weights import prunable
from assay.sparse import BlockSparseLinear
from tests.pruning.models import Mixed, chain


def test_weights_of_linear_and_convolutional_layers_are_prunable_by_their_names():
    assert list(prunable(Mixed())) == ["conv.weight", "hidden.weight", "head.weight"]
    assert list(prunable(nn.Linear(2, 3))) == ["weight"]


def test_patterns_choose_parameters_of_any_layer():
    model = nn.TransformerEncoderLayer(8, 2, 16)
    assert "self_attn.in_proj_weight" in prunable(model, ["self_attn.*"])
    assert list(prunable(model, ["linear?.weight"])) == ["linear1.weight", "linear2.weight"]
    with pytest.raises(InputError, match="no parameter has such a name"):
        prunable(model, ["nothing.*"])


def tied():
    model = nn.ModuleDict({"a": nn.Linear(4, 4), "b": nn.Linear(4, 4)})
    model["b"].weight = model["a"].weight
    return model


def same_module_twice():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.ReLU(), layer)


def same_memory():
    model = chain(4, 4, 4)
    model[2].weight.data = model[0].weight.data
    return model


def tied_to_an_embedding():
    model = nn.ModuleDict({"embedding": nn.Embedding(6, 4), "head": nn.Linear(4, 6, bias=False)})
    model["head"].weight = model["embedding"].weight
    return model


def not_a_number():
    model = chain(4, 4)
    model[0].weight.data[1, 2] = float("nan")
    return model


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (tied, "shared with b.weight"),
        (same_module_twice, "shared with 2.weight"),
        (same_memory, "shared with 2.weight"),
        (tied_to_an_embedding, "shared with embedding.weight"),
        (not_a_number, "NaN"),
        (lambda: nn.Sequential(nn.ReLU()), "nothing to prune"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), "computed from other parameters"),
        (lambda: nn.utils.weight_norm(nn.Linear(4, 4)), "computed from other parameters"),
        (lambda: torch_pruning.identity(nn.Linear(4, 4), "weight"), "computed from other parameters"),
        (lambda: BlockSparseLinear.from_linear(nn.Linear(32, 32), 16, sparsity=0.5), "converted already"),
        (lambda: nn.LazyLinear(4), "no values yet"),
        (lambda: nn.Linear(4, 4, device="meta"), "no values yet"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # PyTorch says that its old weight_norm is deprecated
def test_what_cannot_be_pruned_is_refused_with_the_reason(make, reason):
    with pytest.raises(InputError, match=r"(?s).*") as caught:
        full_mask(make())
    assert reason in str(caught.value)


def test_a_shared_weight_may_stay_outside_of_the_mask():
    model = nn.ModuleDict({"tied": tied(), "free": nn.Linear(4, 4)})
    assert list(full_mask(model, ["free.*"])) == ["free.weight"]


def test_applying_a_mask_sets_zeros_in_place_and_changes_no_forward():
    model = chain(4, 6, 3)
    forwards = {name: each.forward.__func__ for name, each in model.named_modules()}
    parameter = model[0].weight
    mask = {name: torch.rand(each.shape) < 0.5 for name, each in prunable(model).items()}
    apply_mask(model, mask)
    assert model[0].weight is parameter
    assert all(torch.equal(found, mask[name]) for name, found in nonzero_mask(model).items())
    assert {name: each.forward.__func__ for name, each in model.named_modules()} == forwards
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())


def test_applying_a_mask_clears_even_what_is_not_a_number():
    model = not_a_number()
    apply_mask(model, {"0.weight": torch.zeros(4, 4, dtype=torch.bool)})
    assert not model[0].weight.any()


@pytest.mark.parametrize(
    ("name", "value"),
    [("9.weight", torch.ones(6, 4, dtype=torch.bool)), ("0.weight", torch.ones(4, 6, dtype=torch.bool)),
     ("0.weight", torch.ones(6, 4))],
)  # fmt: skip
def test_a_mask_that_does_not_fit_is_refused(name, value):
    with pytest.raises(InputError, match="does not fit"):
        check_mask(chain(4, 6, 3), {name: value})


def test_density_is_the_share_that_stays():
    assert density({"a": torch.tensor([True, False]), "b": torch.tensor([False, False])}) == 0.25
    with pytest.raises(InputError, match="names no weights"):
        density({})


layers = st.lists(
    st.lists(st.sampled_from([-2.0, -0.0, 0.0, 1.0, float("inf"), float("-inf")]), min_size=1, max_size=8),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=200)
@given(
    layers,
    st.randoms(use_true_random=False),
    st.sampled_from([torch.bfloat16, torch.float32, torch.float64]),
    st.data(),
)
def test_exactly_so_many_of_the_largest_stay_and_ties_go_by_position(values, chance, dtype, data):
    scores = {str(number): torch.tensor(each, dtype=dtype) for number, each in enumerate(values)}
    mask = {name: torch.tensor([chance.random() < 0.7 for _ in each]) for name, each in scores.items()}
    places = [(name, at) for name, each in mask.items() for at in range(len(each)) if each[at]]
    kept = data.draw(st.integers(0, len(places)))
    ranked = sorted(places, key=lambda place: -float(scores[place[0]][place[1]]))[:kept]
    emptied = {name for name, each in mask.items() if each.any()} - {name for name, _ in ranked}
    if emptied:
        with pytest.raises(InputError, match="lose all its weights"):
            keep_largest(scores, kept, mask)
    else:
        found = keep_largest(scores, kept, mask)
        assert [(name, at) for name, each in found.items() for at in range(len(each)) if each[at]] == sorted(
            ranked, key=places.index
        )


def test_a_minimum_of_each_layer_stays_and_the_rest_is_ranked_together():
    scores = {"a": torch.tensor([5.0, 4.0, 3.0]), "b": torch.tensor([1.0, 2.0, 0.0])}
    mask = {name: torch.ones(3, dtype=torch.bool) for name in scores}
    with pytest.raises(InputError, match="lose all its weights") as caught:
        keep_largest(scores, 3, mask)
    assert caught.value.value == "b"
    found = keep_largest(scores, 3, mask, minimum=1)
    assert found["a"].tolist() == [True, True, False]
    assert found["b"].tolist() == [False, True, False]
    with pytest.raises(InputError, match="minimum of each layer is more"):
        keep_largest(scores, 3, mask, minimum=2)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(InputError, match="not a number"):
        keep_largest({"a": torch.tensor([float("nan")])}, 1, {"a": torch.tensor([True])})


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 3), st.floats(0.1, 10)), min_size=1, max_size=8),
       st.floats(0, 1))  # fmt: skip
def test_a_count_is_split_exactly_and_within_limits(parts, at):
    upper = torch.tensor([size for size, _, _ in parts])
    lower = torch.tensor([least for _, least, _ in parts]).minimum(upper)
    total = int(lower.sum()) + round(at * int((upper - lower).sum()))
    weights = torch.tensor([weight for _, _, weight in parts], dtype=torch.float64)
    found = apportion(total, weights, lower, upper)
    assert int(found.sum()) == total
    assert (found >= lower).all()
    assert (found <= upper).all()
    inside = (found > lower) & (found < upper)
    shares = found / weights
    if inside.any():  # between its limits, a part is in proportion, to within one
        assert (found - shares[inside].mean() * weights)[inside].abs().max() <= (1 + weights / weights.min())[
            inside
        ].max()


def test_without_limits_a_count_is_split_by_largest_remainders():
    sizes = torch.tensor([10, 20, 30])
    parts = apportion(7, sizes.to(torch.float64), torch.zeros(3, dtype=torch.int64), sizes)
    assert parts.tolist() == [1, 2, 4]  # of 1.17, 2.33 and 3.5


def test_the_share_that_goes_counts_what_is_gone_already():
    mask = {"a": torch.tensor([True] * 5 + [False] * 5)}
    assert kept_count(mask, 0.6) == 4
    with pytest.raises(InputError, match="sparser already"):
        kept_count(mask, 0.4)
    with pytest.raises(InputError, match="no weight would stay"):
        kept_count(mask, 0.96)


def test_layers_keep_the_same_share_or_all_that_they_have():
    mask = {"a": torch.ones(100, dtype=torch.bool), "b": torch.arange(100) < 10}
    assert share_out(20, mask, 0) == {"a": 10, "b": 10}
    assert share_out(60, mask, 0) == {"a": 50, "b": 10}
