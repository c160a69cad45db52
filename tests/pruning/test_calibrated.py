"""Wanda and SparseGPT against loops, and what they are for: outputs that change less."""

import pytest
import torch
from torch import nn

from assay import pruning
from assay.errors import InputError
from assay.pruning.inputs import as_matrix, unfold, visit_inputs
from assay.pruning.masks import full_mask, kept_weights
from assay.pruning.methods.sparsegpt import Sparsegpt, damped, reconstruct, solve, sparsegpt
from assay.pruning.methods.wanda import Calibrated, wanda
from assay.pruning.protocol import Data
from tests.pruning.models import IMAGES, Mixed, cross_entropy

LAYERS = [
    (nn.Linear(6, 4), (3, 5, 6)),
    (nn.Conv1d(4, 6, 3, stride=2, groups=2), (2, 4, 9)),
    (nn.Conv2d(4, 6, (3, 2), padding=(1, 0), dilation=(1, 2), groups=2), (2, 4, 7, 8)),
    (nn.Conv2d(3, 5, 3, padding="same", padding_mode="reflect"), (2, 3, 6, 6)),
    (nn.Conv3d(2, 4, 2, stride=(1, 2, 1)), (2, 2, 4, 5, 4)),
]


@pytest.mark.parametrize(("layer", "shape"), LAYERS, ids=lambda each: str(each)[:40])
def test_a_layer_is_its_weights_rows_times_its_unfolded_inputs(layer, shape):
    x = torch.randn(shape)
    outputs = as_matrix(layer.weight, layer) @ unfold(x, layer).transpose(1, 2)  # [groups, rows, samples]
    outputs = outputs.flatten(0, 1).T + layer.bias
    expected = layer(x) if isinstance(layer, nn.Linear) else layer(x).movedim(1, -1)
    torch.testing.assert_close(outputs, expected.reshape(outputs.shape))


def correlated(width, outputs=3):
    """Inputs of unlike sizes that depend on each other, as a layer's do."""
    mixing = torch.randn(width, width, generator=torch.Generator().manual_seed(99)).double()
    mixing *= torch.logspace(-1, 1, width, dtype=torch.float64)

    def get_batch(number):
        drawing = torch.Generator().manual_seed(number)
        x = torch.randn(64, width, generator=drawing).double() @ mixing
        return x, torch.randint(outputs, (64,), generator=drawing)

    return Data(get_batch, cross_entropy)


def wanda_by_a_loop(model, x, pruned_before):
    """The masks of both layers, with the second one's inputs from a pruned first layer or from the dense one."""
    found = {}
    for at in (0, 2):
        weight = model[at].weight.detach().clone()
        for row in weight:
            scores = [abs(float(w)) * float(x[:, column].norm()) for column, w in enumerate(row)]
            for column in sorted(range(len(scores)), key=scores.__getitem__)[: len(scores) // 2]:
                row[column] = 0
        found[f"{at}.weight"] = weight != 0
        used = weight if pruned_before else model[at].weight.detach()
        x = torch.relu(x @ used.T + model[at].bias.detach())
    return found


def test_wanda_is_a_loop_over_rows_with_inputs_of_the_layers_pruned_before():
    model, data = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12)).double(), correlated(8)
    found = wanda(Calibrated(sparsity=0.5, batches=2), model, data, full_mask(model))
    x = torch.cat([data.get_batch(number)[0] for number in range(2)])
    expected, other = wanda_by_a_loop(model, x, True), wanda_by_a_loop(model, x, False)
    assert all(torch.equal(found[name], expected[name]) for name in found)
    assert not torch.equal(expected["2.weight"], other["2.weight"]), "else this test would tell nothing"


def test_wanda_keeps_the_same_number_in_every_row_to_within_one():
    model, data = nn.Linear(7, 9).double(), correlated(7)
    found = wanda(Calibrated(sparsity=0.6), model, data, full_mask(model))["weight"]
    assert found.sum() == 63 - round(0.6 * 63)
    assert set(found.sum(1).tolist()) == {2, 3}


def test_wanda_counts_what_comes_through_a_convolutions_groups():
    layer = nn.Conv2d(4, 4, 3, groups=2, bias=False)
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    x = torch.randn(3, 4, 6, 6)
    x[:, 0] = 0  # the first group's first channel is silent
    data = Data(lambda n: (x, torch.zeros(3, dtype=torch.int64)), cross_entropy)
    found = wanda(Calibrated(sparsity=0.5), model, data, full_mask(model))["0.weight"]
    assert not found[:2, 0].any()
    assert found[2:, 0].any()


def error_of(weight, pruned, x):
    return float(((weight - pruned) @ x.T).square().sum())


@pytest.mark.parametrize("block", [6, 3, 4, 1])
def test_sparsegpt_is_optimal_brain_surgery_column_by_column(block):
    """Against the definition, with the inverse of what is left of the Hessian computed anew for each column."""
    torch.manual_seed(3)
    weight, x = torch.randn(4, 6).double(), correlated(6).get_batch(0)[0]
    hessian = 2 * x.T @ x
    ones = torch.ones(1, 4, 6, dtype=torch.bool)
    mask, found = solve(weight[None], damped(hessian[None], 0.0, ""), ones, 12, block)
    inverses = [torch.linalg.inv(hessian[at:, at:]) for at in range(6)]
    expected, kept = weight.clone(), torch.zeros(4, 6, dtype=torch.bool)
    for first in range(0, 6, block):
        columns = slice(first, min(first + block, 6))
        scores = expected[:, columns].square() / torch.stack([each[0, 0] for each in inverses[columns]])
        kept[:, columns] = scores > scores.flatten().sort().values[scores.numel() // 2 - 1]
        for at in range(columns.start, columns.stop):
            for row in range(4):
                if not kept[row, at]:
                    expected[row, at:] -= expected[row, at].clone() / inverses[at][0, 0] * inverses[at][:, 0]
    assert torch.equal(mask[0], kept)
    torch.testing.assert_close(found[0], expected * kept, rtol=1e-8, atol=1e-10)


def test_sparsegpt_reconstructs_a_layer_for_the_inputs_that_the_layers_before_it_give_now():
    model, data = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 12)).double(), correlated(8)
    found = reconstruct(Sparsegpt(sparsity=0.5), model, data, full_mask(model))
    alone = reconstruct(Sparsegpt(sparsity=0.5), model, data, full_mask(model, ["2.weight"]))
    assert not torch.allclose(alone.weights["2.weight"], found.weights["2.weight"])
    model[0].weight.data = found.weights["0.weight"]
    after = reconstruct(Sparsegpt(sparsity=0.5), model, data, full_mask(model, ["2.weight"]))
    torch.testing.assert_close(after.weights["2.weight"], found.weights["2.weight"])


def test_sparsegpts_error_lies_between_the_least_squares_of_its_mask_and_the_same_mask_without_an_update():
    model, data = nn.Linear(12, 8, bias=False).double(), correlated(12)
    weight, x = model.weight.detach().clone(), torch.cat([data.get_batch(number)[0] for number in range(4)])
    found = reconstruct(Sparsegpt(sparsity=0.5, batches=4, block=4), model, data, full_mask(model))
    best = torch.zeros_like(weight)
    for row, kept in enumerate(found.mask["weight"]):
        best[row, kept] = torch.linalg.lstsq(x[:, kept], x @ weight[row]).solution
    here = error_of(weight, found.weights["weight"], x)
    magnitude = pruning.prune(model, "magnitude", 0.5, scope="local").model.weight.detach()
    assert error_of(weight, best, x) <= here < error_of(weight, weight * found.mask["weight"], x)
    assert here < error_of(weight, magnitude, x)
    assert not found.weights["weight"][~found.mask["weight"]].any()


def test_outputs_change_least_with_sparsegpt_then_with_wanda_then_with_magnitude():
    model, data = nn.Linear(32, 16).double(), correlated(32)
    x = torch.cat([data.get_batch(number)[0] for number in range(10, 14)])  # not those of the calibration
    weight, errors = model.weight.detach().clone(), {}
    for name in ("magnitude", "wanda"):
        options = {} if name == "magnitude" else {"batches": 4}
        errors[name] = error_of(weight, pruning.prune(model, name, 0.5, data, **options).model.weight.detach(), x)
    found = reconstruct(Sparsegpt(sparsity=0.5, batches=4), model, data, full_mask(model))
    errors["sparsegpt"] = error_of(weight, found.weights["weight"], x)
    assert errors["sparsegpt"] < errors["wanda"] < errors["magnitude"]


def test_reconstruction_gives_a_convolutional_model_weights_and_exactly_the_share():
    model = Mixed()
    mask = full_mask(model)
    found = reconstruct(Sparsegpt(sparsity=0.6, batches=3, block=8), model, IMAGES, mask)
    assert kept_weights(found.mask) == kept_weights(mask) - round(0.6 * kept_weights(mask))
    assert all(torch.equal(sparsegpt(Sparsegpt(sparsity=0.6, batches=3, block=8), model, IMAGES, mask)[name], each)
               for name, each in found.mask.items())  # fmt: skip
    found.apply(model)
    assert pruning.density(pruning.nonzero_mask(model)) == pytest.approx(0.4, abs=1e-3)


def test_what_was_pruned_before_stays_gone_in_reconstructed_weights():
    model, data = nn.Linear(12, 8, bias=False).double(), correlated(12)
    mask = pruning.prune(model, "random", 0.4).mask
    found = reconstruct(Sparsegpt(sparsity=0.6, batches=2, block=5), model, data, mask)
    assert (found.mask["weight"] <= mask["weight"]).all()
    assert not found.weights["weight"][~mask["weight"]].any()


def test_inputs_that_are_silent_or_too_few_are_met_by_dampening_or_refused():
    model = nn.Linear(8, 4).double()
    x = torch.randn(3, 8).double()
    x[:, 2] = 0
    data = Data(lambda n: (x, torch.zeros(3, dtype=torch.int64)), cross_entropy)
    found = reconstruct(Sparsegpt(sparsity=0.5), model, data, full_mask(model))
    assert not found.mask["weight"][:, 2].any() or found.mask["weight"].sum() == 16
    assert all(each.isfinite().all() for each in found.weights.values())
    with pytest.raises(InputError, match="do not determine"):
        reconstruct(Sparsegpt(sparsity=0.5, dampening=0.0), model, data, full_mask(model))


def test_layers_that_a_method_does_not_know_are_named():
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 3))
    data = Data(lambda n: (torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)), cross_entropy)
    for name in ("wanda", "sparsegpt"):
        with pytest.raises(InputError, match="does not know the layer") as caught:
            pruning.prune(model, name, 0.5, data, names=["0.weight", "2.weight"])
        assert "0.weight" in caught.value.value


def test_a_layer_sees_what_the_changed_layers_before_it_give():
    model, seen = nn.Sequential(nn.Linear(8, 6), nn.Linear(6, 4)).double(), {}
    data = correlated(8)

    def visit(name, layer, inputs):
        seen[name] = torch.cat(list(inputs), 1)
        layer.weight.data.zero_()

    visit_inputs(model, data, full_mask(model), 2, visit)
    assert seen["0.weight"].shape == (1, 128, 8)
    torch.testing.assert_close(seen["1.weight"][0], model[0].bias.detach().expand(128, 6))
