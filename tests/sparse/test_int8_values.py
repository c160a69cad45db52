"""int8 values for inference: how far off they may be, what is stored, what is refused."""

import pytest
import torch
from torch import nn

from assay.errors import InputError
from assay.sparse.int8 import Int8BlockSparseLinear, quantise
from assay.sparse.linear import BlockSparseLinear


def layer():
    torch.manual_seed(0)
    return BlockSparseLinear.from_linear(nn.Linear(70, 100), 16, sparsity=0.5)


def test_every_value_errs_by_at_most_half_its_outputs_scale(instruction_set):
    sparse = layer()
    small = quantise(sparse)
    x = torch.eye(70)
    found = (small(x) - small.bias).T
    error = (found - sparse.to_dense()).abs()
    assert (error <= 0.5001 * small.scales[:, None] + 1e-6).all()
    assert error.max() > 0, "something was rounded"


def test_an_output_without_blocks_is_its_bias(instruction_set):
    sparse = layer()
    mask = sparse.layout.mask()
    mask[2] = False
    sparse.set_layout(type(sparse.layout).from_mask(mask, 100, 70, 16))
    found = quantise(sparse)(torch.randn(3, 70))
    assert torch.equal(found[:, 32:48], sparse.bias[32:48].detach().expand(3, -1))


def test_a_model_is_copied_and_its_state_is_a_quarter():
    model = nn.Sequential(layer(), nn.ReLU(), nn.Linear(100, 3))
    small = quantise(model)
    assert isinstance(model[0], BlockSparseLinear)
    assert isinstance(small[0], Int8BlockSparseLinear)
    assert small.state_dict()["0.values"].dtype == torch.int8
    fresh = quantise(nn.Sequential(layer(), nn.ReLU(), nn.Linear(100, 3)))
    fresh.load_state_dict(small.state_dict())
    x = torch.randn(2, 70)
    assert torch.equal(fresh(x), small(x))


def test_gradients_other_types_and_models_without_such_layers_are_refused():
    small = quantise(layer())
    with pytest.raises(InputError, match="no gradients"):
        small(torch.randn(2, 70, requires_grad=True))
    with pytest.raises(InputError, match="does not fit"):
        small(torch.randn(2, 70).double())
    with pytest.raises(InputError, match="nothing to quantise"):
        quantise(nn.Linear(3, 4))
    broken = layer()
    broken.values.data[0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="NaN or infinity"):
        quantise(broken)
