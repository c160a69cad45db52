"""BlockSparseLinear in place of a dense layer: conversion, training, state, and layouts that change."""

import copy
import io
import warnings

import pytest
import torch
from torch import nn

from assay.errors import InputError
from assay.sparse.layout import BlockLayout
from assay.sparse.linear import BlockSparseLinear


def layer(sparsity=0.5, outputs=70, inputs=50, block=16):
    torch.manual_seed(0)
    return BlockSparseLinear.from_linear(nn.Linear(inputs, outputs), block, sparsity=sparsity)


def test_a_layer_gives_what_its_dense_form_gives():
    sparse, x = layer(), torch.randn(3, 5, 50)
    torch.testing.assert_close(sparse(x), sparse.to_linear()(x))
    assert sparse.to_dense().shape == (70, 50)


def test_without_pruning_the_dense_layer_is_kept_exactly():
    dense = nn.Linear(50, 70)
    assert torch.equal(BlockSparseLinear.from_linear(dense, 16).to_linear().weight, dense.weight)


def test_a_new_layer_starts_with_the_spread_of_its_fan_in():
    mask = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)) < 0.25
    sparse = BlockSparseLinear(512, 512, layout=BlockLayout.from_mask(mask, 512, 512, 32))
    bound = 1 / (512 * sparse.layout.density) ** 0.5
    assert 0.99 * bound < sparse.values.abs().max() <= bound


def test_gradients_are_the_dense_layers_at_the_kept_blocks():
    sparse = layer()
    dense = sparse.to_linear()
    x = torch.randn(9, 50)
    sparse(x).square().sum().backward()
    dense(x).square().sum().backward()
    torch.testing.assert_close(sparse.values.grad, sparse._kept(dense.weight.grad))
    torch.testing.assert_close(sparse.bias.grad, dense.bias.grad)


def test_the_state_dict_is_pytorchs_bsr_and_loads_into_a_layer_of_another_layout():
    sparse, other = layer(), layer(sparsity=0.8)
    file = io.BytesIO()
    torch.save(sparse.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert set(state) == {"crow_indices", "col_indices", "values", "bias"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch says that its BSR is in beta state
        matrix = torch.sparse_bsr_tensor(
            state["crow_indices"], state["col_indices"], state["values"], (80, 64), check_invariants=True
        )
    assert torch.equal(matrix.to_dense()[:70, :50], sparse.to_dense())
    parameter = other.values
    other.load_state_dict(state)
    assert other.values is parameter, "an optimizer that holds the parameter goes on with it"
    assert torch.equal(other.to_dense(), sparse.to_dense())


def test_a_dense_checkpoint_is_cut_to_the_layout_with_a_warning():
    sparse, dense = layer(), nn.Linear(50, 70)
    with pytest.warns(UserWarning, match="of its squared norm"):
        sparse.load_state_dict(dense.state_dict())
    kept = sparse.to_dense() != 0
    assert torch.equal(sparse.to_dense()[kept], dense.weight[kept])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sparse.load_state_dict(sparse.to_linear().state_dict())


def test_checkpoints_that_do_not_fit_are_refused_with_the_reason():
    sparse = layer()
    with pytest.raises(RuntimeError, match="dense weight does not fit"):
        sparse.load_state_dict(nn.Linear(50, 71).state_dict())
    state = sparse.state_dict()
    state["col_indices"] = state["col_indices"] + 7
    with pytest.raises(RuntimeError, match="not a block-sparse layout"):
        sparse.load_state_dict(state)
    newer = sparse.state_dict()
    newer._metadata[""]["version"] = 99
    with pytest.raises(RuntimeError, match="written by a newer Assay"):
        sparse.load_state_dict(newer)


def test_a_layout_that_changes_in_training_carries_values_and_moments():
    sparse = layer()
    optimizer = torch.optim.AdamW(sparse.parameters(), lr=0.01)
    x = torch.randn(8, 50)
    sparse(x).square().mean().backward()
    optimizer.step()
    before, moments = sparse.to_dense().detach(), optimizer.state[sparse.values]["exp_avg"]
    old, mask = sparse.layout, ~sparse.layout.mask()
    mask[0] = sparse.layout.mask()[0]
    sparse.set_layout(BlockLayout.from_mask(mask, 70, 50, 16), optimizer)
    assert torch.equal(sparse.to_dense()[:16], before[:16])
    assert not sparse.to_dense()[16:].any()
    carried = optimizer.state[sparse.values]["exp_avg"]
    assert torch.equal(carried, old.carry(moments, sparse.layout))
    sparse(x).square().mean().backward()
    optimizer.step()
    assert sparse.to_dense()[16:].any(), "new blocks learn"


def test_a_copy_an_autocast_and_a_change_of_type_keep_the_layer():
    sparse, x = layer(), torch.randn(4, 50)
    torch.testing.assert_close(copy.deepcopy(sparse)(x), sparse(x))
    assert sparse.double()(x.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert sparse.float()(x.bfloat16()).dtype == torch.float32


def test_compiled_layers_keep_one_graph_and_agree():
    sparse, x = layer(), torch.randn(4, 50)
    compiled = torch.compile(sparse, fullgraph=True)
    torch.testing.assert_close(compiled(x), sparse(x))
    compiled(x).sum().backward()
    found, sparse.values.grad = sparse.values.grad, None
    sparse(x).sum().backward()
    torch.testing.assert_close(found, sparse.values.grad)


def test_padding_is_said():
    assert "padded by 10 x 14 to whole blocks" in repr(layer())
    assert "padded" not in repr(layer(outputs=64, inputs=64))


def test_a_layout_of_another_matrix_is_refused():
    with pytest.raises(InputError, match="layout does not fit the layer"):
        BlockSparseLinear(50, 70, 16, layout=BlockLayout.from_mask(torch.ones(4, 5, dtype=torch.bool), 64, 80, 16))
