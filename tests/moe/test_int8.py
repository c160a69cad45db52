"""Experts in int8: error bound, size, loading, and what they refuse."""

import io

import pytest
import torch

from assay.errors import InputError
from assay.moe import MoE, quantise_experts
from assay.moe.int8 import quantise_rows


def size_of(model):
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_each_weight_errs_by_at_most_half_a_scale_and_zero_rows_are_exact(dtype):
    weight = torch.randn(3, 5, 7).to(dtype)
    weight[1, 2] = 0
    weight[2, 0, 3] = 1e3
    weight[0] *= torch.tensor([1, 0.1, 1e-2, 1e-3, 1e-4]).unsqueeze(1).to(dtype)
    rounded, scales = quantise_rows(weight)
    assert scales.dtype == dtype
    scales = scales.double()
    error = (rounded * scales.unsqueeze(-1) - weight.double()).abs()
    assert rounded.dtype == torch.int8
    assert (error <= 0.5 * scales.unsqueeze(-1) * (1 + 1e-6)).all()
    assert not rounded[1, 2].any()


@pytest.mark.parametrize("options", [{}, {"gated": True, "activation": "silu", "bias": True}, {"capacity_factor": 0.7}])
def test_the_layer_computes_with_the_dequantised_weights(options):
    moe = MoE(16, 12, 4, 2, **options, dtype=torch.float64)
    small = quantise_experts(moe)
    x = torch.randn(30, 16, dtype=torch.float64)
    with torch.no_grad():
        before = moe.eval()(x).hidden_states
        got = small(x).hidden_states
        for name in (moe.experts.first_name, "down_proj"):
            rounded, scales = quantise_rows(getattr(moe.experts, name))
            getattr(moe.experts, name).copy_(rounded * scales.unsqueeze(-1))
        torch.testing.assert_close(got, moe(x).hidden_states)
    assert 0 < (got - before).norm() < 0.01 * before.norm()


def test_the_file_shrinks_to_about_a_quarter_and_loads_again():
    moe = MoE(64, 64, 8, 2)
    small, other = quantise_experts(moe), quantise_experts(MoE(64, 64, 8, 2))
    assert size_of(small) < 0.3 * size_of(moe)
    other.load_state_dict(small.state_dict())
    x = torch.randn(5, 64)
    with torch.no_grad():
        assert torch.equal(small(x).hidden_states, other(x).hidden_states)


def test_a_float_checkpoint_does_not_load_as_int8():
    with pytest.raises(RuntimeError, match="down_proj_int8"):
        quantise_experts(MoE(8, 4, 4, 2)).load_state_dict(MoE(8, 4, 4, 2).state_dict())


def test_int8_experts_compile_to_one_graph():
    small = quantise_experts(torch.nn.Sequential(MoE(8, 4, 4, 2).as_feed_forward()))
    x = torch.randn(5, 8)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(small, fullgraph=True, backend="aot_eager")(x), small(x))


def test_gradients_nan_and_models_without_experts_are_refused():
    moe = MoE(8, 4, 4, 2)
    with pytest.raises(InputError, match="no gradients"):
        quantise_experts(moe)(torch.randn(5, 8, requires_grad=True))
    with pytest.raises(InputError, match="no experts"):
        quantise_experts(torch.nn.Linear(3, 3))
    with torch.no_grad():
        moe.experts.up_proj[0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="holds NaN"):
        quantise_experts(moe)
