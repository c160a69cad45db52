"""SparseConv2d and its operator, against dense convolutions in float64, on every instruction set of this processor."""

import copy
import threading

import pytest
import torch
from torch import nn

from assay.errors import InputError
from assay.sparse import SparseConv2d

conv2d = torch.ops.assay.sparse_conv2d

SHAPES = [
    # images, channels, height, width, outputs, kernel, stride, padding, dilation
    (1, 3, 7, 9, 4, 3, 1, 1, 1),
    (2, 5, 28, 28, 6, 3, 1, 1, 1),
    (3, 4, 13, 17, 5, 5, 2, 2, 1),
    (2, 3, 20, 11, 4, 3, 1, 2, 2),
    (1, 2, 8, 8, 3, 1, 1, 0, 1),
    (2, 4, 15, 16, 3, 3, 3, 0, 2),
    (1, 1, 3, 3, 1, 3, 1, 0, 1),
    (2, 3, 9, 30, 4, 4, 2, 1, 1),
    (1, 2, 40, 70, 3, (1, 7), 1, (0, 3), 1),
    (5, 2, 6, 5, 2, (3, 1), 2, (1, 0), 1),
    (2, 2, 5, 5, 2, 3, 4, 3, 1),
    (0, 2, 5, 5, 3, 3, 1, 1, 1),
]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(7)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


EPILOGUES = [(True, 1), (False, 2), (True, 2), (True, 3)]
"""ReLU, and the side of pooling windows."""


def sparse_layer(shape, zeros, dtype=torch.float32, bias=True, relu=False, pool=1):
    _, channels, _, _, outputs, kernel, stride, padding, dilation = shape
    conv = nn.Conv2d(channels, outputs, kernel, stride, padding, dilation, bias=bias, dtype=dtype)
    layer = SparseConv2d.from_conv2d(conv, mask=torch.rand(conv.weight.shape) >= zeros)
    layer.relu, layer.pool = relu, pool
    return layer


def expected(layer, x):
    bias = None if layer.bias is None else layer.bias.double()
    weight = layer.to_dense().double()
    y = nn.functional.conv2d(x.double(), weight, bias, layer.stride, layer.padding, layer.dilation)
    y = y.relu() if layer.relu else y
    return nn.functional.max_pool2d(y, layer.pool) if layer.pool > 1 else y


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("zeros", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_layer_computes_what_a_dense_one_does(instruction_set, shape, zeros, dtype):
    layer = sparse_layer(shape, zeros, dtype, bias=shape[0] != 2)
    x = torch.randn(shape[:4], dtype=dtype)
    y = layer(x)
    assert y.shape == expected(layer, x).shape
    assert torch.allclose(y.double(), expected(layer, x), rtol=1e-5, atol=1e-5)


POOLED = [shape for shape in SHAPES if shape not in [(1, 1, 3, 3, 1, 3, 1, 0, 1), (2, 2, 5, 5, 2, 3, 4, 3, 1)]]
POOLED += [(2, 2, 9, 300, 3, 3, 1, 1, 1), (1, 3, 33, 64, 2, 3, 2, 1, 1)]  # a row of windows is longer than a tile


@pytest.mark.parametrize("shape", POOLED, ids=str)
@pytest.mark.parametrize(("relu", "pool"), EPILOGUES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_relu_and_pooling_are_part_of_the_layer(instruction_set, shape, relu, pool, dtype):
    layer = sparse_layer(shape, 0.6, dtype, relu=relu, pool=pool)
    x = torch.randn(shape[:4], dtype=dtype)
    wanted = expected(layer, x)
    assert layer(x).shape == wanted.shape
    assert torch.allclose(layer(x).double(), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("relu", "pool"), EPILOGUES)
def test_nan_and_infinity_pass_relu_and_pooling_as_they_do_in_torch(instruction_set, relu, pool):
    layer = sparse_layer(SHAPES[1], 0.0, relu=relu, pool=pool)
    x = torch.randn(SHAPES[1][:4])
    x[0, 1, 5, 7], x[1, 2, 3, 3] = float("nan"), float("inf")
    assert torch.allclose(layer(x).double(), expected(layer, x), rtol=1e-5, atol=1e-5, equal_nan=True)
    assert layer(x).isnan().any()


def test_a_layer_with_its_epilogue_turns_into_dense_ones():
    layer = sparse_layer(SHAPES[1], 0.7, relu=True, pool=2)
    x = torch.randn(SHAPES[1][:4])
    dense = layer.to_conv2d()
    assert [type(each) for each in dense] == [nn.Conv2d, nn.ReLU, nn.MaxPool2d]
    assert torch.allclose(dense(x), layer(x), atol=1e-5)


@pytest.mark.parametrize("pool", [1, 2])
def test_threads_and_the_number_of_images_change_no_result(pool):
    layer = sparse_layer((1, 16, 28, 28, 8, 3, 1, 1, 1), 0.8, pool=pool)
    x = torch.randn(40, 16, 28, 28)  # more than are copied at once
    together = layer(x)
    assert torch.equal(together, torch.cat([layer(one) for one in x.split(1)]))
    torch.set_num_threads(3)
    assert torch.equal(layer(x), together)
    assert torch.equal(layer(x[:1]), together[:1])


def test_no_images_are_no_error_on_a_threads_first_call():
    layer, shapes = sparse_layer(SHAPES[1], 0.5), []
    thread = threading.Thread(target=lambda: shapes.append(layer(torch.randn(0, 5, 28, 28)).shape))
    thread.start()
    thread.join()
    assert shapes == [(0, 6, 28, 28)]


def test_a_single_image_and_other_strides_of_memory_are_taken():
    layer = sparse_layer(SHAPES[0], 0.5)
    x = torch.randn(2, 3, 7, 9)
    assert torch.equal(layer(x[0]), layer(x)[0])
    assert torch.equal(layer(x.contiguous(memory_format=torch.channels_last)), layer(x))


def test_what_stands_beside_an_image_does_not_reach_it():
    layer = sparse_layer((2, 2, 6, 6, 3, 3, 1, 1, 1), 0.3)
    x = torch.randn(2, 2, 6, 6)
    x[1] = float("nan")
    assert torch.isfinite(layer(x)[0]).all()
    assert torch.equal(layer(x)[0], layer(x[:1])[0])


@pytest.mark.parametrize(("relu", "pool"), [(False, 1), *EPILOGUES])
def test_first_and_second_derivatives_are_right(relu, pool):
    layer = sparse_layer((1, 2, 5, 6, 3, 3, 2, 1, 1), 0.5, torch.float64)
    values, bias = layer.values.detach().requires_grad_(), layer.bias.detach().requires_grad_()
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)

    def run(x, values, bias):
        return conv2d(x, values, layer.layout(), bias, layer.kernel_size, 2, layer.padding, 1, relu, pool)

    assert torch.autograd.gradcheck(run, (x, values, bias))
    assert torch.autograd.gradgradcheck(run, (x, values, bias))


@pytest.mark.parametrize(("relu", "pool"), [(False, 1), (True, 2)])
def test_the_operator_keeps_pytorchs_rules(relu, pool):
    layer = sparse_layer(SHAPES[2], 0.5)
    x = torch.randn(SHAPES[2][:4], requires_grad=True)
    torch.library.opcheck(conv2d, (x, layer.values, layer.layout(), layer.bias, [5, 5], 2, [2, 2], 1, relu, pool))


@pytest.mark.parametrize(("relu", "pool"), [(False, 1), (True, 2)])
def test_a_compiled_layer_is_one_graph_with_the_same_gradients(relu, pool):
    layer = sparse_layer(SHAPES[1], 0.7, relu=relu, pool=pool)
    other, x = copy.deepcopy(layer), torch.randn(SHAPES[1][:4])
    compiled = torch.compile(other, fullgraph=True, backend="aot_eager")
    layer(x).square().sum().backward()
    compiled(x).square().sum().backward()
    assert torch.allclose(layer.values.grad, other.values.grad)


def test_dense_and_sparse_layers_turn_into_each_other():
    conv = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
    layer = SparseConv2d.from_conv2d(conv, sparsity=0.75)
    assert layer.values.numel() == 54
    back = layer.to_conv2d()
    assert (back.stride, back.padding, back.bias) == ((2, 2), (1, 1), None)
    kept = back.weight != 0
    assert torch.equal(back.weight[kept], conv.weight[kept])
    target = SparseConv2d(3, 8, 3, 2, 1, bias=False)
    target.load_state_dict(back.state_dict())  # a dense checkpoint
    assert torch.equal(target.to_dense(), back.weight)
    target = SparseConv2d(3, 8, 3, 2, 1, bias=False)
    target.load_state_dict(layer.state_dict())
    assert torch.equal(target.to_dense(), back.weight)


@pytest.mark.parametrize(
    "settings", [{"groups": 2}, {"padding": "same"}, {"padding": 1, "padding_mode": "circular"}, {"stride": (1, 2)}]
)
def test_convolutions_without_a_sparse_layer_are_refused_with_the_reason(settings):
    with pytest.raises(InputError, match="no sparse layer for this convolution"):
        SparseConv2d.from_conv2d(nn.Conv2d(4, 4, 3, **settings))


def test_wrong_arguments_are_refused():
    layer = sparse_layer(SHAPES[0], 0.5)
    with pytest.raises(InputError, match="does not fit the layer"):
        layer(torch.randn(1, 4, 7, 9))
    with pytest.raises(InputError, match="no kernel for these element types"):
        layer(torch.randn(1, 3, 7, 9).double())
    with pytest.raises(InputError, match="larger than the image"):
        sparse_layer((1, 3, 7, 9, 4, 5, 1, 0, 1), 0.5)(torch.randn(1, 3, 4, 9))
    with pytest.raises(InputError, match="windows of 3"):
        sparse_layer((1, 3, 7, 9, 4, 5, 1, 0, 1), 0.5, pool=3)(torch.randn(1, 3, 6, 9))
    with pytest.raises(InputError, match="do not belong together"):
        conv2d(torch.randn(1, 3, 7, 9), torch.randn(5), layer.layout(), None, [3, 3], 1, [1, 1], 1, False, 1)
    for settings in ({"pool": 0}, {"stride": 0}, {"padding": (0, -1)}):
        with pytest.raises(InputError, match="no such convolution"):
            SparseConv2d(3, 4, 3, **settings)
    with pytest.raises(InputError, match="mask does not fit"):
        SparseConv2d(3, 4, 3, mask=torch.ones(4, 3, 3, dtype=torch.bool))
