"""Other libraries' methods: what they give, what is refused, and what is said where they are missing."""

import copy
import sys

import pytest
import torch
from torch import nn

from assay import pruning
from assay.errors import InputError, MachineError
from assay.pruning.adapters.quantised import quantise
from assay.pruning.adapters.structured import prune_channels
from tests.pruning.models import IMAGES, chain


class Residual(nn.Module):
    """What shrinking leaves alone, and the dependency graph does not."""

    def __init__(self):
        super().__init__()
        self.first, self.branch = nn.Conv2d(2, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.head((x + self.branch(x)).mean((2, 3)))


@pytest.fixture
def example():
    return torch.randn(2, 2, 4, 4)


@pytest.mark.parametrize("importance", ["magnitude", "lamp", "random", "taylor"])
def test_channels_go_through_a_residual_sum(importance, example):
    pytest.importorskip("torch_pruning")
    model = Residual()
    before = copy.deepcopy(model.state_dict())
    pruned = prune_channels(model, example, 0.5, importance, keep=["head"], data=IMAGES)
    assert (pruned.first.out_channels, pruned.branch.out_channels, pruned.head.in_features) == (4, 4, 4)
    assert pruned(example).shape == (2, 3)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(each.grad is None for each in pruned.parameters())


def test_the_channels_of_smallest_norm_go(example):
    pytest.importorskip("torch_pruning")
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
    model[0].weight.data[[1, 4]] *= 0.01
    model[3].weight.data.view(3, 6, 4)[:, [1, 4]] *= 0.01
    pruned = prune_channels(model, example, 1 / 3, keep=["3"])
    assert torch.equal(pruned[0].weight, model[0].weight[[0, 2, 3, 5]])


def test_a_share_an_importance_and_a_head_that_cannot_be_are_refused(example):
    pytest.importorskip("torch_pruning")
    for arguments, reason in [({"share": 1.0}, "no share"), ({"importance": "magic"}, "no such importance"),
                              ({"keep": ["tail"]}, "no such layer"), ({}, "another shape"),
                              ({"importance": "taylor", "keep": ["head"]}, "needs data")]:  # fmt: skip
        with pytest.raises(InputError, match=reason):
            prune_channels(Residual(), example, **arguments)
    with pytest.raises(InputError, match="does not run"):
        prune_channels(Residual(), torch.randn(2, 5))


@pytest.mark.parametrize(("kind", "bound"), [("weight_only", 0.01), ("dynamic", 0.03)])
def test_linear_layers_become_int8_with_their_zeros_and_nearly_their_outputs(kind, bound):
    pytest.importorskip("torchao")
    pruned = pruning.prune(chain(32, 48, 16), "magnitude", 0.8).model
    small = quantise(pruned, kind)
    x = torch.randn(7, 32)
    expected = pruned(x).detach()
    assert float((small(x).detach() - expected).abs().max() / expected.abs().max()) < bound
    for at in (0, 2):
        weight = small[at].weight.dequantize()
        assert torch.equal(weight == 0, (weight == 0) | (pruned[at].weight == 0))
        assert not weight[pruned[at].weight == 0].any()
    with pytest.raises(InputError, match="prune before quantising"):
        pruning.full_mask(small)


def test_layers_are_quantised_by_name():
    pytest.importorskip("torchao")
    small = quantise(chain(32, 48, 16), names=["2"])
    assert type(small[0].weight.data) is torch.Tensor
    assert type(small[2].weight.data) is not torch.Tensor


def test_what_cannot_be_quantised_is_refused():
    model = chain(4, 6, 3)
    with pytest.raises(InputError, match="no Linear layer"):
        quantise(model, names=["head"])
    with pytest.raises(InputError, match="no such kind"):
        quantise(model, "int3")
    model[0].weight.data[0] = float("nan")
    with pytest.raises(InputError, match="cannot be quantised"):
        quantise(model)


@pytest.mark.parametrize(
    ("module", "call"),
    [("torch_pruning", lambda: prune_channels(Residual(), torch.randn(2, 2, 4, 4))),
     ("torchao.quantization", lambda: quantise(chain(4, 6, 3)))],
)  # fmt: skip
def test_without_the_library_the_error_says_what_to_install(module, call, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MachineError, match="not installed") as caught:
        call()
    assert caught.value.next_step == "pip install 'assay[prune]'"
