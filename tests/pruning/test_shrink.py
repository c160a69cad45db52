"""Dead and constant units go, outputs stay: what is certain is cut, what is not is left with the reason."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional

from assay import pruning
from assay.errors import InputError
from assay.pruning.shrink import shrink
from tests.pruning.models import chain


def agrees(model, shrunk, *inputs):
    model = copy.deepcopy(model).double().eval()
    torch.testing.assert_close(shrunk.model.double()(*inputs), model(*inputs), rtol=1e-6, atol=1e-6)


def zero(layer, incoming=(), outgoing=()):
    """Units of a layer that nothing makes, and inputs of it that it does not read."""
    layer.weight.data[list(incoming)] = 0
    layer.weight.data[:, list(outgoing)] = 0


def conv_chain(padding=1, norm=False, mode="zeros", pool=None, activation=None):
    layers = [nn.Conv2d(2, 6, 3, padding=1), *([nn.BatchNorm2d(6)] if norm else []), activation or nn.GELU(),
              *([pool] if pool else []), nn.Conv2d(6, 5, 3, padding=padding, padding_mode=mode), nn.ReLU(),
              nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 3)]  # fmt: skip
    return nn.Sequential(*layers)


def test_a_dead_unit_goes_from_both_layers():
    model = chain(4, 6, 3)
    zero(model[2], outgoing=[1, 4])
    shrunk = shrink(model, torch.randn(2, 4))
    assert (shrunk.model.get_submodule("0").out_features, shrunk.model.get_submodule("2").in_features) == (4, 4)
    assert shrunk.report.dead == {"0": 2}
    assert (shrunk.report.parameters_before, shrunk.report.parameters_after) == (51, 35)
    agrees(model, shrunk, torch.randn(9, 4).double())


@pytest.mark.parametrize(
    "activation", [nn.ReLU(), nn.GELU("tanh"), nn.Sigmoid(), nn.LeakyReLU(0.3), nn.PReLU(), nn.Tanh()]
)
def test_a_constant_unit_becomes_part_of_the_next_bias(activation):
    model = nn.Sequential(nn.Linear(4, 6), activation, nn.Dropout(0.5), nn.Linear(6, 3, bias=False))
    model[0].bias.data = torch.linspace(-1, 1, 6)
    zero(model[0], incoming=[0, 3, 5])
    shrunk = shrink(model, torch.randn(2, 4))
    assert shrunk.report.constant == {"0": 3}
    assert shrunk.model.get_submodule("3").weight.shape == (3, 3)
    assert shrunk.report.difference < 1e-6
    agrees(model, shrunk, torch.randn(9, 4).double())


def test_what_goes_makes_more_go_until_nothing_changes():
    model = chain(4, 5, 5, 5, 3)
    zero(model[0], incoming=[0])
    model[2].weight.data[2, 1:] = 0  # reads the constant unit alone: constant in turn
    zero(model[6], outgoing=[4])
    model[4].weight.data[:4, 3] = 0  # read by the dead unit alone: dead in turn
    shrunk = shrink(model, torch.randn(2, 4))
    assert shrunk.report.constant == {"0": 1, "2": 1}
    assert shrunk.report.dead == {"2": 1, "4": 1}
    agrees(model, shrunk, torch.randn(9, 4).double())


def test_units_of_sequences_go_as_those_of_vectors_do():
    model = chain(4, 6, 3)
    zero(model[0], incoming=[0])
    zero(model[2], outgoing=[1])
    shrunk = shrink(model, torch.randn(2, 7, 4))
    assert shrunk.model.get_submodule("0").out_features == 4
    agrees(model, shrunk, torch.randn(3, 5, 4).double())


def test_a_constant_channel_stays_where_padding_makes_it_differ_at_borders():
    model = conv_chain()
    zero(model[0], incoming=[2, 3])
    model[0].bias.data[2], model[0].bias.data[3] = 0.7, 0.0
    shrunk = shrink(model, torch.randn(2, 2, 8, 8))
    assert shrunk.report.constant == {"0": 1}, "the one that is zero goes"
    assert shrunk.report.left["0"].startswith("1 constant units stay: padding")
    agrees(model, shrunk, torch.randn(3, 2, 8, 8).double())


@pytest.mark.parametrize(("padding", "mode"), [(0, "zeros"), ("valid", "zeros"), (1, "replicate"), (1, "circular"),
                                               (1, "reflect")])  # fmt: skip
def test_without_zero_padding_a_constant_channel_goes(padding, mode):
    model = conv_chain(padding, mode=mode)
    zero(model[0], incoming=[2, 3])
    shrunk = shrink(model, torch.randn(2, 2, 8, 8))
    assert shrunk.report.constant == {"0": 2}
    agrees(model, shrunk, torch.randn(3, 2, 8, 8).double())


@pytest.mark.parametrize(
    ("pool", "goes"),
    [(nn.MaxPool2d(2), 2), (nn.MaxPool2d(3, 2, padding=1, ceil_mode=True), 2), (nn.AvgPool2d(3, 2), 2),
     (nn.AvgPool2d(3, 2, padding=1), 1), (nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), 2),
     (nn.AvgPool2d(3, 2, ceil_mode=True), 2), (nn.AvgPool2d(2, divisor_override=3), 1), (nn.AdaptiveAvgPool2d(5), 2),
     (nn.AdaptiveMaxPool2d(5), 2)],
    ids=str,
)  # fmt: skip
def test_pooling_keeps_a_constant_unless_its_padding_counts(pool, goes):
    model = conv_chain(0, pool=pool)
    zero(model[0], incoming=[2, 3])
    model[0].bias.data[2], model[0].bias.data[3] = 0.7, 0.0
    shrunk = shrink(model, torch.randn(2, 2, 10, 10))
    assert shrunk.report.constant == {"0": goes}
    agrees(model, shrunk, torch.randn(3, 2, 10, 10).double())


def test_a_channel_is_all_of_its_places_in_the_linear_layer_after_flattening():
    model = conv_chain()
    zero(model[3 - 1], incoming=[4])
    model[6].weight.data.view(3, 5, 4)[:, 1] = 0
    shrunk = shrink(model, torch.randn(2, 2, 8, 8))
    assert (shrunk.report.constant, shrunk.report.dead) == ({"2": 1}, {"2": 1})
    assert shrunk.model.get_submodule("6").in_features == 12
    agrees(model, shrunk, torch.randn(3, 2, 8, 8).double())


def test_batch_normalisation_is_folded_first():
    model = conv_chain(0, norm=True)
    for _ in range(5):
        model(torch.randn(4, 2, 8, 8) * 2 + 1)
    zero(model[0], incoming=[2, 3])
    model[1].weight.data[5] = 0  # a channel that the normalisation silences
    shrunk = shrink(model, torch.randn(2, 2, 8, 8))
    assert shrunk.report.constant == {"0": 3}
    assert not any(isinstance(each, nn.BatchNorm2d) for each in shrunk.model.modules())
    agrees(model, shrunk, torch.randn(3, 2, 8, 8).double())


def test_normalisation_that_occurs_twice_or_normalises_tokens_is_not_folded():
    conv, norm = nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)
    twice = nn.Sequential(conv, norm, nn.ReLU(), conv, norm)
    tokens = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3))  # of [batch, 4 tokens, 4]
    for model, shape in ((twice, (3, 2, 6, 6)), (tokens, (3, 4, 4))):
        for _ in range(3):
            model(torch.randn(shape) * torch.rand(shape[1]).view(-1, *[1] * (len(shape) - 2)) + 1)
        shrunk = shrink(model, torch.randn(shape))
        assert any(isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d)) for each in shrunk.model.modules())
        agrees(model, shrunk, torch.randn(shape).double())


def test_a_layer_that_would_lose_all_its_units_keeps_one():
    model = chain(4, 6, 3)
    zero(model[0], incoming=range(6))
    shrunk = shrink(model, torch.randn(2, 4))
    assert shrunk.model.get_submodule("0").out_features == 1
    agrees(model, shrunk, torch.randn(9, 4).double())


class Odd(nn.Module):
    """Sums, joins, groups, functions and calls that are not known: with dead units everywhere."""

    def __init__(self):
        super().__init__()
        self.first, self.branch, self.after = (nn.Conv2d(4, 4, 3, padding=1) for _ in range(3))
        self.grouped, self.last = nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.Conv2d(4, 4, 1)
        self.twice, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.norm = nn.LayerNorm(4)

    def forward(self, x):
        x = functional.relu(self.first(x))
        x = x + self.branch(x)
        x = self.grouped(torch.cumsum(self.after(x), 1))
        x = self.last(functional.relu(x)).mean((2, 3))
        x = self.twice(functional.relu(self.twice(x)))
        return self.head(self.norm(x))


def test_what_is_uncertain_is_left_alone_with_the_reason():
    model = Odd()
    for each in model.modules():
        if isinstance(each, (nn.Conv2d, nn.Linear)):
            zero(each, incoming=[1], outgoing=[1])
    shrunk = shrink(model, torch.randn(2, 4, 6, 6))
    assert shrunk.report.parameters_before == shrunk.report.parameters_after
    reasons = shrunk.report.left
    assert "2 places" in reasons["first"]
    assert "add" in reasons["branch"]
    assert "cumsum" in reasons["after"]
    assert "groups" in reasons["grouped"]
    assert "mean" in reasons["last"]
    assert "several places" in reasons["twice"]
    assert "the model's" in reasons["head"]
    agrees(model, shrunk, torch.randn(3, 4, 6, 6).double())


class Hidden(nn.Module):
    """The functional forms of the same chain."""

    def __init__(self):
        super().__init__()
        self.conv, self.hidden, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4 * 16, 6), nn.Linear(6, 3)

    def forward(self, x):
        x = torch.flatten(self.conv(x).relu(), 1)
        x = functional.dropout(functional.gelu(self.hidden(x), approximate="tanh"), 0.3, self.training)
        return self.head(functional.leaky_relu(x, 0.2, inplace=True))


def test_functions_and_methods_pass_units_as_modules_do():
    model = Hidden()
    zero(model.conv, incoming=[0])
    zero(model.hidden, incoming=[2])
    zero(model.head, outgoing=[1])
    shrunk = shrink(model, torch.randn(2, 2, 6, 6))
    assert shrunk.report.constant == {"conv": 1, "hidden": 1}
    assert shrunk.report.dead == {"hidden": 1}
    agrees(model, shrunk, torch.randn(3, 2, 6, 6).double())


def test_an_image_without_a_batch_is_not_taken_for_channels():
    """Flattening [4, 6, 6] from dimension 1 gives rows of places: the linear layer reads places, not channels."""
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    zero(model[0], incoming=[1])
    model[3].weight.data[:, :9] = 0
    shrunk = shrink(model, torch.randn(2, 6, 6))
    assert shrunk.report.parameters_before == shrunk.report.parameters_after
    assert "without a batch" in shrunk.report.left["0"]


def test_a_width_that_equals_the_channels_is_not_taken_for_them():
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 3))
    zero(model[2], outgoing=[1])
    shrunk = shrink(model, torch.randn(2, 2, 4, 4))
    assert shrunk.report.parameters_before == shrunk.report.parameters_after
    assert "reads places" in shrunk.report.left["0"]


@pytest.mark.parametrize("seed", range(12))
def test_random_networks_pruned_at_random_give_the_same_outputs(seed):
    torch.manual_seed(seed)
    widths = torch.randint(2, 9, (4,)).tolist()
    pick = lambda *choices: choices[int(torch.randint(len(choices), ()))]  # noqa: E731
    model = nn.Sequential(
        nn.Conv2d(2, widths[0], 3, padding=pick(0, 1)), pick(nn.BatchNorm2d(widths[0]), nn.Identity()),
        pick(nn.ReLU(), nn.Tanh(), nn.Sigmoid()), pick(nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AvgPool2d(3, 1, 1)),
        nn.Conv2d(widths[0], widths[1], 3, padding=pick(0, 1), bias=pick(True, False)), pick(nn.GELU(), nn.ReLU()),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * widths[1], widths[2]), pick(nn.ReLU(), nn.SiLU()),
        nn.Linear(widths[2], widths[3], bias=pick(True, False)), nn.ReLU(), nn.Linear(widths[3], 3),
    )  # fmt: skip
    for _ in range(3):
        model(torch.randn(4, 2, 10, 10) + 0.5)
    pruned = pruning.prune(model, "random", 0.85, minimum=1, seed=seed).model
    shrunk = shrink(pruned, torch.randn(2, 2, 10, 10))
    assert shrunk.report.parameters_after < shrunk.report.parameters_before
    agrees(pruned, shrunk, torch.randn(5, 2, 10, 10).double())


def test_the_model_stays_as_it_is_and_the_small_one_can_be_saved_and_trained():
    model = conv_chain(norm=True)
    zero(model[0], incoming=[1])
    before, training = copy.deepcopy(model.state_dict()), model.training
    shrunk = shrink(model, torch.randn(2, 2, 8, 8))
    assert model.training is training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    file = io.BytesIO()
    torch.save(shrunk.model, file)
    file.seek(0)
    x = torch.randn(2, 2, 8, 8)
    torch.testing.assert_close(torch.load(file, weights_only=False)(x), shrunk.model(x))
    shrunk.model(x).sum().backward()
    assert all(each.grad is not None for each in shrunk.model.parameters())
    assert "parameters are" in str(shrunk.report)


def test_a_model_that_cannot_be_traced_or_does_not_run_is_refused():
    class Branches(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(InputError, match="cannot trace"):
        shrink(Branches(), torch.randn(2, 4))
    with pytest.raises(InputError, match="does not run"):
        shrink(chain(4, 6, 3), torch.randn(2, 5))
