"""Each method's scores against a definition written out in a few lines of float64."""

import math

import pytest
import torch
from torch import nn

from assay import pruning
from assay.errors import InputError
from assay.pruning.masks import full_mask, kept_weights
from assay.pruning.methods import dynamic
from assay.pruning.methods.dynamic import Dynamic, drop_and_grow, sparse_start
from assay.pruning.methods.grasp import Grasp, grasp, grasp_scores
from assay.pruning.methods.movement import Movement, movement_scores
from assay.pruning.methods.snip import Snip, snip_scores
from assay.pruning.methods.synflow import Synflow, _make_a_flow, flow_scores, synflow
from assay.pruning.protocol import Data
from tests.pruning.models import Mixed, chain, cross_entropy, vectors

DATA = vectors(4, dtype=torch.float64)


def small():
    """Smooth, so that finite differences of any order say what autograd says."""
    return nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 3)).double()


def weights(model):
    """Each weight by its layer's name and place."""
    return [(name, at) for name in full_mask(model) for at in range(model.get_parameter(name).numel())]


def loss_at(model, batches=2):
    return sum(float(DATA.loss_of(model, number).detach()) for number in range(batches)) / batches


def moved(model, place, amount, of):
    """`of(model)` with one weight moved by an amount."""
    name, at = place
    flat = model.get_parameter(name).data.view(-1)
    flat[at] += amount
    try:
        return of(model)
    finally:
        flat[at] -= amount


def slope(model, place, of, step=1e-5):
    return (moved(model, place, step, of) - moved(model, place, -step, of)) / (2 * step)


def test_snip_is_the_change_of_the_loss_with_a_switch_before_each_weight():
    model = small()
    scores = snip_scores(Snip(batches=2), model, DATA, full_mask(model))
    for name, at in weights(model):
        weight = float(model.get_parameter(name).detach().view(-1)[at])
        switched = weight * slope(model, (name, at), loss_at)
        assert float(scores[name].view(-1)[at]) == pytest.approx(abs(switched), rel=1e-5, abs=1e-9)


def flow_of_gradients(model):
    """Half of the squared norm of the gradient of the mean loss, over weights alone."""
    names = list(full_mask(model))
    loss = sum(DATA.loss_of(model, number) for number in range(2)) / 2
    slopes = torch.autograd.grad(loss, [model.get_parameter(name) for name in names])
    return sum(float(each.square().sum()) for each in slopes) / 2


def test_grasp_is_the_change_of_the_gradients_norm_and_keeps_what_it_needs():
    model = small()
    mask = full_mask(model)
    scores = grasp_scores(Grasp(batches=2), model, DATA, mask)
    for place in weights(model):
        weight = float(model.get_parameter(place[0]).detach().view(-1)[place[1]])
        expected = weight * slope(model, place, flow_of_gradients)
        assert float(scores[place[0]].view(-1)[place[1]]) == pytest.approx(expected, rel=1e-4, abs=1e-8)
    kept = grasp(Grasp(sparsity=0.5, batches=2), model, DATA, mask)
    flat = torch.cat([scores[name].flatten() for name in mask])
    stays = torch.cat([kept[name].flatten() for name in mask])
    assert flat[stays].min() > flat[~stays].max()


def test_grasp_says_where_a_loss_cannot_be_differentiated_twice():
    """PyTorch's fused attention on a CPU is such a case."""

    def loss(model, x, targets):
        x = model(x)[None, None]
        return cross_entropy(lambda _: nn.functional.scaled_dot_product_attention(x, x, x)[0, 0], x, targets)

    model = small()
    with pytest.raises(InputError, match="no gradient"):
        grasp(Grasp(), model, Data(DATA.get_batch, loss), full_mask(model))


def test_a_weight_that_the_loss_does_not_use_is_named():
    model = nn.ModuleDict({"used": nn.Linear(4, 3), "unused": nn.Linear(4, 3)}).double()
    data = Data(DATA.get_batch, lambda model, *batch: cross_entropy(model["used"], *batch))
    for method in ("snip", "grasp", "wanda", "sparsegpt", "rigl"):
        with pytest.raises(InputError) as caught:
            pruning.prune(
                model, method, 0.5, data, **({"interval": 1, "densities": "uniform"} if method == "rigl" else {})
            )
        assert caught.value.value == "unused.weight"


def test_synflow_lets_as_much_flow_through_every_layer():
    model = chain(5, 7, 9, 3)
    _make_a_flow(model)
    scores = flow_scores(model, full_mask(model), (5,))
    total = model(torch.ones(1, 5, dtype=torch.float64)).sum()
    for each in scores.values():
        assert float(each.sum()) == pytest.approx(float(total.detach()), rel=1e-12)


def test_synflow_also_conserves_through_convolutions_pooling_and_trained_normalisation():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2),
                          nn.Flatten(), nn.Linear(4 * 4, 3, bias=False))  # fmt: skip
    for _ in range(5):
        model(torch.randn(8, 2, 6, 6) + 1)
    nn.init.normal_(model[1].bias)
    _make_a_flow(model)
    first, last = (float(each.sum()) for each in flow_scores(model, full_mask(model), (2, 6, 6)).values())
    assert first == pytest.approx(last, rel=1e-12)
    assert first > 0.1


def test_synflow_never_empties_a_layer_where_magnitude_does():
    model = chain(100, 100, 10, 100, 10)
    mask = full_mask(model)
    found = synflow(Synflow(sparsity=0.99, input_shape=(100,)), model, None, mask)
    assert kept_weights(found) == kept_weights(mask) - round(0.99 * kept_weights(mask))
    assert all(each.any() for each in found.values())
    model[2].weight.data.mul_(0.01)
    with pytest.raises(InputError, match="lose all its weights"):
        pruning.prune(model, "magnitude", 0.99)
    assert all(each.any() for each in pruning.prune(model, "synflow", 0.99, input_shape=(100,)).mask.values())


def test_synflow_asks_for_a_shape_and_for_numbers():
    with pytest.raises(InputError, match="does not know the input's shape"):
        pruning.prune(chain(4, 3), "synflow", 0.5)
    with pytest.raises(InputError, match="input of ones"):
        pruning.prune(chain(4, 3), "synflow", 0.5, input_shape=(5,))
    with pytest.raises(InputError, match="input of numbers"):
        pruning.prune(chain(4, 3), "synflow", 0.5, Data(lambda n: (torch.arange(3),), cross_entropy))


def test_movement_adds_up_weight_times_gradient_over_the_steps_of_a_training():
    model = small()
    sgd = Data(DATA.get_batch, DATA.loss, lambda model: torch.optim.SGD(model.parameters(), 0.5))
    scores = movement_scores(Movement(steps=3), model, sgd, full_mask(model))
    expected = dict.fromkeys(scores, 0.0)
    for number in range(3):
        parameters = dict(model.named_parameters())
        slopes = torch.autograd.grad(DATA.loss_of(model, number), list(parameters.values()))
        for (name, parameter), each in zip(parameters.items(), slopes, strict=True):
            if name in expected:
                expected[name] = expected[name] - parameter.detach() * each
            parameter.data -= 0.5 * each
    for name in scores:
        torch.testing.assert_close(scores[name], expected[name])


def test_movement_keeps_what_grows_where_magnitude_keeps_what_is_large():
    model = nn.Linear(2, 1, bias=False).double()
    model.weight.data = torch.tensor([[3.0, 0.5]], dtype=torch.float64)
    data = Data(lambda n: (torch.randn(32, 2, generator=torch.Generator().manual_seed(n)).double(),),
                lambda model, x: (model(x) - 2 * x[:, 1:]).square().mean(),
                lambda model: torch.optim.SGD(model.parameters(), 0.01))  # fmt: skip
    assert pruning.prune(model, "magnitude", 0.5).mask["weight"].tolist() == [[True, False]]
    assert pruning.prune(model, "movement", 0.5, data, steps=10).mask["weight"].tolist() == [[False, True]]


def test_the_smallest_weights_go_and_those_of_the_largest_gradient_come():
    mask = {"a": torch.tensor([True, True, True, False, False, False])}
    values = {"a": torch.tensor([0.1, 3.0, -2.0, 0.0, 0.0, 0.0])}
    scores = {"a": torch.tensor([0.0, 9.0, 9.0, 1.0, 5.0, 2.0])}
    assert drop_and_grow(mask, values, scores, 1 / 3)["a"].tolist() == [False, True, True, False, True, False]
    assert drop_and_grow(mask, values, scores, 0.0)["a"].tolist() == mask["a"].tolist()


def test_moving_weights_keeps_each_layers_count_to_the_last_one():
    for seed in range(50):
        drawing = torch.Generator().manual_seed(seed)
        shape = torch.randint(1, 9, (2,), generator=drawing).tolist()
        mask = {"a": torch.rand(shape, generator=drawing) < 0.4}
        values = {"a": torch.randint(-2, 3, shape, generator=drawing).float()}
        scores = {"a": torch.randint(0, 3, shape, generator=drawing).float()}
        found = drop_and_grow(mask, values, scores, float(torch.rand((), generator=drawing)))
        assert found["a"].sum() == mask["a"].sum()


@pytest.mark.parametrize("name", ["set", "rigl"])
def test_sparse_training_keeps_the_counts_of_its_start_and_moves(name):
    model, data = chain(8, 20, 3), vectors(8)
    hparams = Dynamic(sparsity=0.8, steps=30, interval=5, seed=1)
    start = sparse_start(hparams, full_mask(model))
    found = pruning.METHODS[name].method(hparams, model, data, full_mask(model))
    assert {n: int(each.sum()) for n, each in found.items()} == {n: int(each.sum()) for n, each in start.items()}
    assert any(not torch.equal(found[n], start[n]) for n in start)


@pytest.mark.parametrize("name", ["set", "rigl"])
def test_the_fraction_that_moves_falls_as_half_a_cosine_in_rigl_and_stays_in_set(name, monkeypatch):
    model, fractions = chain(10, 100, 3), []

    def note(mask, weights, scores, fraction):
        fractions.append(fraction)
        return dict(mask)

    monkeypatch.setattr(dynamic, "drop_and_grow", note)
    hparams = Dynamic(sparsity=0.5, steps=50, interval=10, fraction=0.4, end=0.8)
    pruning.METHODS[name].method(hparams, model, vectors(10), full_mask(model))
    expected = [0.4 * (1 + math.cos(math.pi * step / 40)) / 2 if name == "rigl" else 0.4 for step in (10, 20, 30)]
    assert fractions == pytest.approx(expected)


def test_rigl_grows_where_the_gradient_is_largest_of_either_sign():
    model = nn.Linear(6, 1, bias=False).double()
    model.weight.data = torch.tensor([[0.1, 0.2, 0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    data = Data(lambda n: (torch.randn(64, 6, generator=torch.Generator().manual_seed(n)).double(),),
                lambda model, x: (model(x)[:, 0] - 5 * x[:, 2] + 3 * x[:, 3]).square().mean(),
                lambda model: torch.optim.SGD(model.parameters(), 1e-4))  # fmt: skip
    hparams = Dynamic(sparsity=4 / 6, steps=3, interval=1, fraction=0.99, end=0.99)  # one weight moves, at step 1
    found = pruning.METHODS["rigl"].method(hparams, model, data, {"weight": model.weight != 0})
    assert found["weight"].tolist() == [[False, True, True, False, False, False]]


def test_erdos_renyi_kernel_counts_are_in_proportion_to_the_sum_of_a_layers_sizes():
    mask = full_mask(nn.ModuleDict({"conv": nn.Conv2d(16, 32, 3), "linear": nn.Linear(300, 200)}))
    counts = {name: int(each.sum()) for name, each in sparse_start(Dynamic(sparsity=0.95), mask).items()}
    total = 0.05 * (16 * 32 * 9 + 60000)
    sizes = {"conv.weight": 16 + 32 + 3 + 3, "linear.weight": 500}
    for name, size in sizes.items():
        assert counts[name] == pytest.approx(total * size / 554, abs=1)
    dense = sparse_start(Dynamic(sparsity=0.2), mask)
    assert dense["conv.weight"].all(), "a small layer stays whole, and the large one makes up for it"
    assert kept_weights(dense) == 64608 - round(0.2 * 64608)


def test_sparse_training_goes_on_from_a_mask_that_is_as_sparse():
    mask = pruning.prune(Mixed(), "magnitude", 0.8).mask
    start = sparse_start(Dynamic(sparsity=0.8), mask)
    assert all(torch.equal(start[name], mask[name]) for name in mask)
