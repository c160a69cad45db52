"""Backward operators written in terms of others: against PyTorch's own, in float64, so that only mistakes differ."""

import pytest
import torch

from assay.engineer import decompositions as d

torch.manual_seed(0)


def gradients(function, *tensors):
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    result = function(*leaves)
    grad = torch.randn_like(result)
    return grad, result.detach(), torch.autograd.grad(result, leaves, grad)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
def test_the_backward_of_a_convolution(stride, padding, dilation):
    x, weight, bias = (torch.randn(*shape, dtype=torch.double) for shape in ((2, 3, 11, 9), (4, 3, 3, 2), (4,)))
    grad, _, wanted = gradients(
        lambda *a: torch.nn.functional.conv2d(*a, stride=stride, padding=padding, dilation=dilation), x, weight, bias
    )
    both = ([stride] * 2, [padding] * 2, [dilation] * 2)
    found = d.convolution_backward(grad, x, weight, [4], *both, False, [0, 0], 1, [True, True, True])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_the_backward_of_a_depthwise_convolution(kernel):
    x, weight = torch.randn(2, 6, 9, 8, dtype=torch.double), torch.randn(6, 1, kernel, kernel, dtype=torch.double)
    pad = kernel // 2
    grad, _, wanted = gradients(lambda *a: torch.nn.functional.conv2d(*a, padding=pad, groups=6), x, weight)
    both = ([1, 1], [pad, pad], [1, 1])
    found = d.convolution_backward(grad, x, weight, None, *both, False, [0, 0], 6, [True, True, False])
    torch.testing.assert_close(found[:2], wanted)
    assert found[2] is None


def test_the_input_of_a_convolution_in_groups_of_several_channels():
    x, weight = torch.randn(2, 6, 9, 8, dtype=torch.double), torch.randn(4, 3, 3, 3, dtype=torch.double)
    grad, _, wanted = gradients(lambda *a: torch.nn.functional.conv2d(*a, padding=1, groups=2), x, weight)
    both = ([1, 1], [1, 1], [1, 1])
    found = d.convolution_backward(grad, x, weight, None, *both, False, [0, 0], 2, [True, False, False])
    torch.testing.assert_close(found[0], wanted[0])
    with pytest.raises(NotImplementedError, match="groups of several"):
        d.convolution_backward(grad, x, weight, None, *both, False, [0, 0], 2, [True, True, False])


@pytest.mark.parametrize(("height", "width"), [(8, 6), (9, 7)])
def test_a_max_poolings_gradient_goes_to_the_first_of_the_largest(height, width):
    x = torch.randint(0, 3, (2, 3, height, width)).double()  # ties in most windows
    grad, _, wanted = gradients(lambda a: torch.nn.functional.max_pool2d(a, 2), x)
    found = d.max_pool2d_backward(grad, x, [2, 2], [2, 2], [0, 0], [1, 1], False, None)
    torch.testing.assert_close(found, wanted[0])


def test_a_max_pooling_whose_windows_overlap_is_refused():
    with pytest.raises(NotImplementedError, match="overlap"):
        d.max_pool2d_backward(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 7, 7), [3, 3], [2, 2], [0, 0], [1, 1], False, 0)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (3, 1, 1), (3, 1, 0), (4, 4, 0)])
def test_the_backward_of_an_average_pooling(kernel, stride, padding):
    x = torch.randn(2, 3, 8, 8, dtype=torch.double)
    grad, _, wanted = gradients(lambda a: torch.nn.functional.avg_pool2d(a, kernel, stride, padding), x)
    found = d.avg_pool2d_backward(grad, x, [kernel] * 2, [stride] * 2, [padding] * 2, False, True, None)
    torch.testing.assert_close(found, wanted[0])


@pytest.mark.parametrize("padding", [-1, 3])
def test_an_embeddings_gradient_adds_up_rows_and_leaves_out_the_padding(padding):
    ids, table = torch.randint(0, 5, (4, 7)), torch.randn(5, 3, dtype=torch.double)
    index = padding if padding >= 0 else None
    grad, _, wanted = gradients(lambda w: torch.nn.functional.embedding(ids, w, padding_idx=index), table)
    torch.testing.assert_close(d.embedding_backward(grad, ids, 5, padding, False), wanted[0])


@pytest.mark.parametrize("causal", [True, False])
def test_the_backward_of_attention(causal):
    tensors = [torch.randn(2, 3, 6, 4, dtype=torch.double) for _ in range(3)]
    grad, out, wanted = gradients(
        lambda *a: torch.nn.functional.scaled_dot_product_attention(*a, is_causal=causal), *tensors
    )
    torch.testing.assert_close(d.attention_backward(grad, *tensors, out, None, 0.0, causal), wanted)
