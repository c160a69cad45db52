"""Kernels are called past PyTorch's dispatcher only where nobody has to see the call."""

import pytest
import torch
from torch import nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from assay.sparse import BlockSparseLinear, SparseConv2d
from assay.sparse.grouped import gathered_mm, scattered_mm
from assay.sparse.operators import is_direct
from assay.sparse.unstructured import SparseLinear


class Grouped(nn.Module):
    """Rows of two groups there and back."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 16, 16))
        self.register_buffer("ends", torch.tensor([4, 6]))
        self.register_buffer("rows", torch.tensor([0, 2, 4, 5, 1, 3]))

    def forward(self, x):
        return scattered_mm(gathered_mm(x, self.weight, self.ends, self.rows), self.weight, self.ends, self.rows, 6)


LAYERS = {
    "linear": (lambda: SparseLinear.from_linear(nn.Linear(64, 48), 0.8), (3, 64)),
    "convolution": (lambda: SparseConv2d.from_conv2d(nn.Conv2d(3, 4, 3), 0.5), (2, 3, 8, 8)),
    "blocks": (lambda: BlockSparseLinear.from_linear(nn.Linear(64, 64), 16, sparsity=0.5), (3, 64)),
    "groups": (Grouped, (6, 16)),
}


@pytest.fixture(params=LAYERS)
def layer(request):
    torch.manual_seed(3)
    make, shape = LAYERS[request.param]
    return make().eval(), shape


def test_a_call_without_gradients_gives_what_the_operator_gives(layer):
    module, shape = layer
    x = torch.randn(shape)
    with torch.no_grad():
        direct = module(x)
    assert torch.allclose(direct, module(x.requires_grad_()).detach(), atol=1e-5)


@torch.no_grad()
def test_a_trace_holds_the_operator_and_not_the_result(layer):
    module, shape = layer
    a, b = torch.randn(shape), torch.randn(shape)
    graph = make_fx(lambda x: module(x))(a)
    assert any("assay" in str(node.target) for node in graph.graph.nodes)
    assert torch.allclose(graph(b), module(b), atol=1e-5)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_trace_computes_anew(layer):
    module, shape = layer
    a, b = torch.randn(shape), torch.randn(shape)
    traced = torch.jit.trace(module, a, check_trace=False)
    assert torch.allclose(traced(b), module(b), atol=1e-5)


def test_a_profile_shows_the_operator(layer):
    module, shape = layer
    if isinstance(module, BlockSparseLinear):
        pytest.skip("it may have chosen PyTorch's dense product")
    with torch.no_grad(), torch.profiler.profile() as profile:
        module(torch.randn(shape))
    assert any(event.key.startswith("assay::") for event in profile.key_averages())


def test_who_has_to_see_a_call_sees_it():
    x, y = torch.randn(4, 4), torch.randn(4, requires_grad=True)
    assert is_direct(x, None)
    assert not is_direct(x, y)
    assert not is_direct(torch.empty(1, device="meta"))
    with torch.no_grad():
        assert is_direct(x, y, nn.Parameter(x))
        with FlopCounterMode(display=False):
            assert not is_direct(x)
    seen = []
    torch.func.vmap(lambda row: seen.append(is_direct(row)) or row)(x)
    assert seen == [False]
