"""SparseLinear and its operators, against dense products in float64, on every instruction set of this processor."""

import copy

import pytest
import torch
from torch import nn

from assay.errors import InputError
from assay.sparse.bits import column_numbers, pack_bits, row_starts, unpack_bits
from assay.sparse.unstructured import FEW, SparseLinear
from assay.sparse.unstructured_layer import largest
from assay.sparse.unstructured_ops import MASK_ROWS

mm, dense, sampled = (getattr(torch.ops.assay, f"unstructured_{name}") for name in ("mm", "dense", "sampled"))


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sparse_layer(inputs, outputs, zeros, dtype=torch.float32, bias=True):
    linear = nn.Linear(inputs, outputs, bias, dtype=dtype)
    return SparseLinear.from_linear(linear, mask=torch.rand(outputs, inputs) >= zeros)


def expected(layer, x):
    bias = None if layer.bias is None else layer.bias.double()
    weight = torch.zeros(layer.out_features, layer.in_features, dtype=torch.float64)
    weight[unpack_bits(layer.mask, layer.in_features)] = layer.values.detach().double()
    return nn.functional.linear(x.double(), weight, bias)


@pytest.mark.parametrize("zeros", [0.0, 0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layer_computes_what_a_dense_one_does(instruction_set, zeros, dtype):
    for inputs, outputs in ((200, 77), (64, 16), (1, 1), (65, 3), (513, 130)):
        layer = sparse_layer(inputs, outputs, zeros, dtype, bias=outputs != 16)
        for rows in (1, 2, 3, 5, 8, 17, MASK_ROWS + 1):
            x = torch.randn(rows, inputs, dtype=dtype)
            assert torch.allclose(layer(x).double(), expected(layer, x), rtol=1e-5, atol=1e-5), (inputs, outputs, rows)


def test_words_with_more_values_than_a_register_are_multiplied_whole(instruction_set):
    mask = torch.zeros(40, 256, dtype=torch.bool)
    mask[::2, 64:128] = True  # so many for a row, so few in all that single rows take the kernel for few values
    mask[:, 200:210] = True
    layer = SparseLinear.from_linear(nn.Linear(256, 40), mask=mask)
    x = torch.randn(1, 256)
    assert layer.density > FEW
    assert torch.allclose(layer(x).double(), expected(layer, x), atol=1e-5)


def test_threads_change_no_result(instruction_set):
    for zeros in (0.5, 0.95):
        layer = sparse_layer(300, 41, zeros)
        for rows in (1, 4):
            x = torch.randn(rows, 300)
            one = layer(x)
            torch.set_num_threads(3)
            assert torch.allclose(layer(x), one, atol=1e-6)
            torch.set_num_threads(1)


def test_rows_of_x_may_be_strided_and_leading_dimensions_stay():
    layer = sparse_layer(100, 30, 0.6)
    x = torch.randn(3, 2, 200)[..., ::2]
    assert layer(x).shape == (3, 2, 30)
    assert torch.allclose(layer(x).double(), expected(layer, x), atol=1e-5)
    assert layer(torch.randn(0, 100)).shape == (0, 30)


def test_a_nan_in_the_input_reaches_every_output_that_depends_on_it(instruction_set):
    for zeros in (0.3, 0.7, 0.95):
        layer = sparse_layer(128, 64, zeros)
        x = torch.randn(1, 128)
        x[0, 70] = float("nan")
        touched = unpack_bits(layer.mask, 128)[:, 70]
        assert layer(x)[0, touched].isnan().all()


@pytest.mark.parametrize("zeros", [0.5, 0.95])
def test_first_and_second_derivatives_are_right(zeros):
    layer = sparse_layer(66, 3, zeros, torch.float64)
    values, bias, layout = layer.values.detach().requires_grad_(), layer.bias.detach().requires_grad_(), layer.layout()
    x = torch.randn(2, 66, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, v, b: mm(x, v, layout, b), (x, values, bias))
    assert torch.autograd.gradgradcheck(lambda x, v: mm(x, v, layout, None), (x, values))
    assert torch.autograd.gradgradcheck(lambda v: dense(v, layout, 66).square(), (values,))


def test_the_operators_keep_pytorchs_rules():
    layer = sparse_layer(70, 9, 0.5)
    x = torch.randn(3, 70, requires_grad=True)
    torch.library.opcheck(mm, (x, layer.values, layer.layout(), layer.bias))
    torch.library.opcheck(dense, (layer.values, layer.layout(), 70))
    weight = torch.randn(9, 70, requires_grad=True)
    torch.library.opcheck(sampled, (weight, layer.layout(), layer.values.numel()))


def test_a_compiled_layer_is_one_graph_with_the_same_gradients():
    layer = sparse_layer(64, 32, 0.7)
    other, x = copy.deepcopy(layer), torch.randn(4, 64)
    compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    layer(x).square().sum().backward()
    compiled(x).square().sum().backward()
    assert torch.equal(layer.values.grad, other.values.grad)
    assert torch.equal(layer.bias.grad, other.bias.grad)


def test_training_moves_values_and_leaves_zeros():
    layer, x = sparse_layer(32, 8, 0.6), torch.randn(64, 32)
    zeros = layer.to_dense() == 0
    target = x @ torch.randn(32, 8)
    optimiser = torch.optim.SGD(layer.parameters(), lr=0.2)
    losses = []
    for _ in range(30):
        loss = (layer(x) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(layer.to_dense() == 0, zeros)


def test_exactly_so_many_weights_are_pruned_even_among_ties():
    weight = torch.ones(4, 5)
    weight[0, 0] = -3
    mask = largest(weight, 0.85)
    assert mask.flatten().tolist() == [True] * 3 + [False] * 17
    linear = nn.Linear(64, 10)
    layer = SparseLinear.from_linear(linear, sparsity=0.9)
    assert layer.values.numel() == 64
    assert layer.values.abs().min() >= linear.weight.abs().flatten().sort().values[576 - 1]


def test_dense_and_sparse_layers_turn_into_each_other():
    linear = nn.Linear(33, 12, bias=False)
    with torch.no_grad():
        linear.weight[torch.rand(12, 33) < 0.5] = 0
    back = SparseLinear.from_linear(linear).to_linear()
    assert torch.equal(back.weight, linear.weight)
    assert back.bias is None


def test_a_state_dict_brings_its_own_zeros():
    source, target = sparse_layer(100, 20, 0.95), sparse_layer(100, 20, 0.5)
    target.load_state_dict(source.state_dict())
    x = torch.randn(1, 100)
    assert set(source.state_dict()) == {"mask", "values", "bias"}
    assert torch.equal(target(x), source(x))
    back = sparse_layer(100, 20, 0.5)
    source.load_state_dict(back.state_dict())
    assert torch.equal(source(x), back(x))


def test_a_dense_checkpoint_brings_its_own_zeros():
    model = nn.Sequential(nn.Linear(40, 12))
    with torch.no_grad():
        model[0].weight[:, 1::2] = 0
    target = nn.Sequential(SparseLinear(40, 12))
    target.load_state_dict(model.state_dict())
    assert target[0].values.numel() == 12 * 20
    assert torch.equal(target[0].to_linear().weight, model[0].weight)


def test_arrays_that_do_not_belong_together_do_not_load():
    layer = sparse_layer(100, 20, 0.5)
    for change in (
        {"values": layer.values[:-1]},
        {"mask": layer.mask.int()},
        {"mask": layer.mask[:-1]},
        {"mask": torch.full_like(layer.mask, -1), "values": torch.zeros(20 * 128)},
    ):
        with pytest.raises(RuntimeError, match="do not belong together"):
            sparse_layer(100, 20, 0.5).load_state_dict({**layer.state_dict(), **change})
    newer = layer.state_dict()
    newer._metadata[""]["version"] = 2
    with pytest.raises(RuntimeError, match="newer Assay"):
        layer.load_state_dict(newer)
    with pytest.raises(RuntimeError, match="weight is"):
        layer.load_state_dict(nn.Linear(99, 20).state_dict())


def test_wrong_arguments_are_refused():
    layer = sparse_layer(100, 20, 0.5)
    with pytest.raises(InputError, match="does not fit the layer"):
        layer(torch.randn(2, 99))
    with pytest.raises(InputError, match="no kernel for these element types"):
        layer(torch.randn(2, 100).double())
    with pytest.raises(InputError, match="no kernel for these element types"):
        layer.bfloat16()(torch.randn(2, 100).bfloat16())
    with pytest.raises(InputError, match="do not belong together"):
        mm(torch.randn(2, 100), torch.randn(5), layer.layout(), None)
    with pytest.raises(InputError, match="mask does not fit"):
        SparseLinear(100, 20, mask=torch.ones(20, 99, dtype=torch.bool))
    with pytest.raises(InputError, match="not a share"):
        SparseLinear.from_linear(nn.Linear(4, 4), sparsity=80)
    with pytest.raises(InputError, match="given twice"):
        SparseLinear.from_linear(nn.Linear(4, 4), sparsity=0.5, mask=torch.ones(4, 4, dtype=torch.bool))


def test_the_explanation_names_what_a_call_does():
    half, fifth, tenth = (sparse_layer(256, 64, zeros) for zeros in (0.5, 0.8, 0.95))
    assert "bit mask" in half.explain(1)
    assert "dense product" in half.explain(MASK_ROWS + 1)
    assert "bit mask" in fifth.explain(8)
    assert "column numbers" in fifth.explain(9)
    assert "column numbers" in tenth.explain(1)


def test_masks_survive_packing():
    for shape in ((3, 1), (5, 64), (2, 65), (7, 200)):
        mask = torch.rand(shape) < 0.4
        bits = pack_bits(mask)
        assert torch.equal(unpack_bits(bits, shape[1]), mask)
        assert row_starts(bits).diff().tolist() == mask.sum(1).tolist()
        assert column_numbers(bits, shape[1]).tolist() == mask.nonzero()[:, 1].tolist()
