"""From PyTorch modules to networks: every operator that is known, and what is refused."""

import numpy as np
import pytest
import torch
from networks import life
from torch import nn
from torch.nn import functional
from torch.nn.utils import prune

from assay.errors import InputError
from assay.export.folding import fold
from assay.export.network import Kind
from assay.export.reading import read_network
from assay.export.reference import compute, rounding_bound
from assay.sparse.convolution import SparseConv2d
from assay.sparse.linear import BlockSparseLinear
from assay.sparse.unstructured import SparseLinear


class Calls(nn.Module):
    """A module from a function of its input, with a convolution and a linear layer to use."""

    def __init__(self, forward):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2 * 6 * 6, 4)
        self.register_buffer("shift", torch.tensor([0.5, -1.0]).view(2, 1, 1))
        self._forward = forward

    def forward(self, x):
        return self._forward(self, x)


MODULES = {
    "circular padding": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"), (2, 5, 6)),
    "padding, stride, dilation, groups": (lambda: nn.Conv2d(4, 6, 3, (2, 1), (2, 1), 2, groups=2), (4, 9, 8)),
    "same padding": (lambda: nn.Conv2d(1, 2, (3, 5), padding="same", bias=False), (1, 6, 7)),
    "a series": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 4, 2, 1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(12, 2)),
        (2, 17)),
    "a circular series": (lambda: nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (2, 7)),
    "batch normalisation": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.2)), (1, 6, 6)),
    "batch normalisation first, and of vectors": (
        lambda: nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(32, 8), nn.BatchNorm1d(8), nn.Tanh()),
        (2, 4, 4)),
    "dropout and softmax": (lambda: nn.Sequential(nn.Linear(5, 6), nn.Dropout(), nn.Softmax(-1)), (5,)),
    "pools": (lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.AvgPool2d((2, 1)), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
              (3, 9, 8)),
    "functions and methods": (
        lambda: Calls(lambda m, x: m.linear(functional.leaky_relu(m.conv(x)).flatten(1)).sigmoid()), (2, 6, 6)),
    "a branch": (lambda: Calls(lambda m, x: functional.relu(x + m.conv(x).relu_()).view(x.shape[0], -1)), (2, 6, 6)),
    "in place": (lambda: Calls(lambda m, x: m.conv(x).mul_(2).tanh_()), (2, 6, 6)),
    "constants": (lambda: Calls(lambda m, x: m.conv((x - m.shift) / 3 + 0.25) * 2), (2, 6, 6)),
    "a constant for every place": (lambda: Calls(lambda m, x: x * torch.arange(72.0).view(2, 6, 6)), (2, 6, 6)),
    "mean over positions": (lambda: Calls(lambda m, x: m.conv(x).mean((2, 3))), (2, 6, 6)),
    "one output": (lambda: nn.Linear(3, 1), (3,)),
    "nothing but views": (lambda: nn.Sequential(nn.Flatten(), nn.Unflatten(1, (3, 2))), (2, 3)),
    "weights of another norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), (4,)),
}  # fmt: skip


@pytest.mark.parametrize(("make", "shape"), MODULES.values(), ids=MODULES)
def test_a_network_computes_what_its_module_does(make, shape):
    torch.manual_seed(1)
    model = make()
    for each in model.modules():
        if isinstance(each, nn.BatchNorm1d | nn.BatchNorm2d):
            each.running_mean.normal_()
            each.running_var.uniform_(0.5, 2)
            nn.init.normal_(each.weight)
            nn.init.normal_(each.bias)
    x = torch.randn(8, *shape)
    network = read_network(model, x)
    with torch.no_grad():
        expected = model.eval()(x).numpy().reshape(8, -1)
    for each in (network, fold(network)):
        bound = rounding_bound(network, x.numpy().min(0), x.numpy().max(0))
        found = compute(each, x.numpy())[-1].reshape(8, -1)
        assert np.abs(found - expected).max() <= 2 * bound + 1e-7


def test_batch_normalisation_and_scalings_fold_away():
    x = torch.randn(4, 1, 6, 6)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    assert len(read_network(model, x).layers) == 2
    assert len(fold(read_network(model, x)).layers) == 1
    shifted = Calls(lambda m, x: m.linear(((x - m.shift) / 16).flatten(1)))
    assert len(fold(read_network(Calls(lambda m, x: m.conv(x / 16)), torch.randn(1, 2, 6, 6))).layers) == 1
    assert len(fold(read_network(shifted, torch.randn(1, 2, 6, 6))).layers) == 2, "the view stands between"


def test_dead_and_constant_units_fold_away():
    model = life(4)
    with torch.no_grad():
        model[0].weight[2] = 0  # a constant, used
        model[2].weight[:, 5] = 0  # computed for nobody
        model[0].weight[6] = 0
        model[2].weight[:, 6] = 0  # constant for nobody
    patches = torch.tensor([[n >> b & 1 for b in range(9)] for n in range(512)]).float().view(-1, 1, 3, 3)
    network = read_network(model, patches)
    lean = fold(network)
    assert [layer.shape[0] for layer in lean.layers] == [5, 4, 1]
    assert lean.weights[0] == 5 * 9 + 5 * 4 + 4
    assert np.abs(compute(lean, patches.numpy())[-1] - compute(network, patches.numpy())[-1]).max() < 1e-6


def test_a_pruned_module_and_assays_sparse_layers_keep_their_zeros():
    torch.manual_seed(2)
    pruned = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4))
    prune.l1_unstructured(pruned[0], "weight", 0.9)
    assert read_network(pruned, torch.randn(2, 32)).weights == (51 + 64, 512 + 64)
    linear = nn.Linear(32, 16)
    sparse = SparseLinear.from_linear(linear, 0.75)
    assert read_network(nn.Sequential(sparse), torch.randn(2, 32)).weights == (128, 512)
    blocks = BlockSparseLinear.from_linear(linear, block=8, sparsity=0.5)
    assert read_network(blocks, torch.randn(2, 32)).weights == (256, 512)
    convolution = SparseConv2d.from_conv2d(nn.Conv2d(2, 4, 3), sparsity=0.75)
    assert read_network(convolution, torch.randn(2, 2, 8, 8)).weights == (18, 72)


def test_an_argmax_at_the_end_is_the_networks_decision():
    network = read_network(Calls(lambda m, x: m.linear(x.flatten(1)).softmax(1).argmax(1)), torch.randn(3, 2, 6, 6))
    assert network.decides
    assert network.layers[-1].activation is None
    assert [type(layer.operation).__name__ for layer in network.before_decision().layers] == ["Conv"]


def test_a_last_sigmoid_does_not_stand_before_a_decision():
    network = read_network(life(), torch.zeros(1, 1, 3, 3))
    assert network.layers[-1].activation.kind is Kind.SIGMOID
    assert network.before_decision().layers[-1].activation is None


REFUSED = {
    "an unknown operator": (lambda: nn.Sequential(nn.Linear(4, 4), nn.GELU()), (4,), "gelu"),
    "a branch on values": (lambda: Calls(lambda m, x: x if x.sum() > 0 else -x), (2, 6, 6), "cannot be traced"),
    "the wrong shape": (lambda: nn.Linear(3, 2), (4,), "cannot be traced"),
    "two outputs": (lambda: Calls(lambda m, x: (x, m.conv(x))), (2, 6, 6), "one output"),
    "a mixed batch": (lambda: Calls(lambda m, x: x.flatten()), (2, 6, 6), "batch"),
    "a linear layer on many vectors": (lambda: nn.Linear(6, 2), (2, 6), "flatten"),
    "a product of values": (lambda: Calls(lambda m, x: x * m.conv(x)), (2, 6, 6), "constant"),
    "reflected padding": (
        lambda: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
        (2, 6, 6),
        "zeros or circular",
    ),
    "softmax over channels of an image": (lambda: nn.Softmax(1), (2, 6, 6), "over all features"),
    "padding that is averaged": (lambda: nn.AvgPool2d(2, 2, 1), (2, 6, 6), "average without padding"),
    "an argmax that goes on": (lambda: Calls(lambda m, x: x.flatten(1).argmax(1) + 1), (2, 6, 6), "after its argmax"),
}


@pytest.mark.parametrize(("make", "shape", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_exported_is_named(make, shape, words):
    with pytest.raises(InputError) as raised:
        read_network(make(), torch.randn(2, *shape))
    assert words in str(raised.value)


def test_an_unknown_operator_lists_the_known_ones():
    with pytest.raises(InputError, match=r"conv2d.*leaky_relu.*softmax"):
        read_network(nn.Sequential(nn.Linear(4, 4), nn.GELU()), torch.randn(1, 4))
