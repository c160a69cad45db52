"""Convolutions take in the ReLU and the pooling that alone read them, and a model computes what it did."""

import copy

import pytest
import torch
from torch import nn

from assay.sparse import SparseConv2d
from assay.sparse.epilogues import find_epilogues, fuse


def convolution(inputs=2, outputs=4):
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def sparse(model):
    """With every convolution as a SparseConv2d."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Conv2d:
            model.set_submodule(name, SparseConv2d.from_conv2d(module, sparsity=0.5))
    return model


class Parts(nn.Module):
    """A convolution and a ReLU, which a test calls as it needs."""

    def __init__(self):
        super().__init__()
        self.convolution, self.relu = convolution(), nn.ReLU()


class Residual(nn.Module):
    def __init__(self, relus=2):
        super().__init__()
        self.first, self.second = convolution(2, 2), convolution(2, 2)
        self.relu, self.last = nn.ReLU(), nn.ReLU() if relus == 2 else nn.Identity()
        self.relus = relus

    def forward(self, x):
        y = self.second(self.relu(self.first(x)))
        return self.last(x + y) if self.relus == 2 else self.relu(x + y)


FUSED = [
    ([convolution(), nn.ReLU(), nn.MaxPool2d(2), convolution(4, 3), nn.ReLU()], {"0": ("1", "2"), "3": ("4",)}),
    ([convolution(), nn.MaxPool2d(3), nn.ReLU(inplace=True)], {"0": ("1", "2")}),
    ([convolution(), nn.MaxPool2d(2), nn.MaxPool2d(2)], {"0": ("1",)}),
    ([convolution(), nn.Sequential(nn.ReLU(), nn.MaxPool2d((2, 2), stride=2))], {"0": ("1.0", "1.1")}),
    ([convolution(), nn.Identity(), nn.ReLU()], {"0": ("2",)}),  # as a folded batch norm leaves it
    ([convolution(), nn.Tanh(), nn.ReLU()], {"0": ()}),
    ([convolution(), nn.MaxPool2d(3, stride=2)], {"0": ()}),
    ([convolution(), nn.MaxPool2d(2, padding=1)], {"0": ()}),
    ([convolution(), nn.MaxPool2d(2, ceil_mode=True)], {"0": ()}),
    ([convolution(), nn.MaxPool2d((2, 4))], {"0": ()}),
    ([convolution(), nn.AvgPool2d(2)], {"0": ()}),
    ([Residual()], {"0.first": ("0.relu",), "0.second": ()}),
    ([Residual(relus=1)], {"0.first": (), "0.second": ()}),
]


@pytest.mark.parametrize(("layers", "wanted"), FUSED, ids=[str(wanted) for _, wanted in FUSED])
def test_what_alone_reads_a_convolution_is_done_by_it(layers, wanted):
    model = sparse(nn.Sequential(*copy.deepcopy(layers)))
    x = torch.randn(2, 2, 13, 12)
    before, names = model(x), list(model.state_dict())
    assert find_epilogues(model) == wanted
    fuse(model)
    assert torch.equal(model(x), before)
    assert list(model.state_dict()) == names
    assert all(type(model.get_submodule(each)) is nn.Identity for after in wanted.values() for each in after)
    assert not any(find_epilogues(model).values())  # nothing is left to do


def test_a_layer_that_is_called_twice_keeps_to_itself():
    relu = nn.ReLU()
    model = sparse(nn.Sequential(convolution(2, 2), relu, convolution(2, 2), relu))
    assert find_epilogues(model) == {"0": (), "2": ()}
    layer = convolution(2, 2)
    assert find_epilogues(nn.Sequential(layer, nn.ReLU(), layer)) == {}


def test_a_module_with_a_hook_is_left_alone():
    model = sparse(nn.Sequential(convolution(), nn.ReLU()))
    model[1].register_forward_hook(lambda *_: None)
    assert find_epilogues(model) == {"0": ()}


def test_a_result_that_others_read_too_stays_as_it_is():
    class Both(Parts):
        def forward(self, x):
            y = self.convolution(x)
            return self.relu(y) + y

    assert find_epilogues(Both()) == {"convolution": ()}


def test_a_model_that_cannot_be_traced_is_left_as_it_is():
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution, self.relu = sparse(nn.Sequential(convolution())), nn.ReLU()

        def forward(self, x):
            return self.relu(self.convolution(x)) if x.sum() > 0 else x

    model = Branching()
    fuse(model)
    assert find_epilogues(model) == {}
    assert type(model.relu) is nn.ReLU


def test_it_is_the_evaluation_that_counts():
    class Two(Parts):
        def forward(self, x):
            y = self.convolution(x)
            return self.relu(y) if self.training else y.tanh()

    model = Two().train()
    model.relu.eval()
    assert find_epilogues(model) == {"convolution": ()}
    assert (model.training, model.convolution.training, model.relu.training) == (True, True, False)
