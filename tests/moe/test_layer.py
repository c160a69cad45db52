"""The layer against a loop over tokens: values, gradients, edge cases, bad input, compilation, saving."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from assay.errors import InputError
from assay.moe import MoE, MoEFeedForward, collect_losses
from tests.moe.reference import feed_forward, reference

H = 6


def layer(**options):
    sizes = {"num_experts": 5, "num_experts_per_tok": 2} | options
    made = MoE(H, 4, **sizes, dtype=torch.float64)
    nn.init.normal_(made.router.weight)
    return made


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"gated": True, "activation": "silu"}, {"bias": True, "activation": "relu2"}, {"num_experts_per_tok": 5}],
    ids=str,
)
def test_output_and_every_gradient_equal_a_loop_over_tokens(options, norm):
    moe = layer(norm_topk_prob=norm, **options)
    x = torch.randn(17, H, dtype=torch.float64, requires_grad=True)
    slope = torch.randn(17, H, dtype=torch.float64)
    inputs = [x, *moe.parameters()]
    got, wanted = moe(x).hidden_states, reference(moe, x)
    torch.testing.assert_close(got, wanted)
    gradients = [torch.autograd.grad((y * slope).sum(), inputs) for y in (got, wanted)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    "options", [{"bias": True}, {"router": "expert_choice"}, {"scoring": "sigmoid", "gated": True}]
)
def test_gradcheck_holds_for_the_output_and_the_losses(options):
    moe = layer(shared_intermediate_size=3, **options).eval()
    x = torch.randn(7, H, dtype=torch.float64, requires_grad=True)
    names, values = zip(*moe.named_parameters(), strict=True)

    def call(x, *values):
        out = torch.func.functional_call(moe, dict(zip(names, values, strict=True)), (x,))
        return out.hidden_states, out.router_loss

    assert torch.autograd.gradcheck(call, (x, *(v.detach().requires_grad_() for v in values)))


def test_leading_dimensions_and_the_shared_expert_are_honoured():
    moe = layer(shared_intermediate_size=3)
    x = torch.randn(2, 3, H, dtype=torch.float64)
    out = moe(x)
    wanted = reference(moe, x.view(-1, H)) + moe.shared_expert(x.view(-1, H))
    torch.testing.assert_close(out.hidden_states.view(-1, H), wanted)
    assert out.expert_counts.sum() == 12
    assert out.dropped_tokens == 0


def test_one_token_and_no_token_are_right():
    moe = layer()
    token = torch.randn(1, H, dtype=torch.float64)
    torch.testing.assert_close(moe(token).hidden_states, reference(moe, token))
    empty = moe(token[:0])
    assert empty.hidden_states.shape == (0, H)
    assert empty.auxiliary_loss == 0
    assert empty.z_loss == 0
    assert empty.expert_counts.tolist() == [0] * 5
    (empty.hidden_states.sum() + empty.router_loss).backward()
    assert all(not p.grad.any() for p in moe.parameters())


def test_all_tokens_to_one_expert_leaves_the_others_empty_and_without_gradient():
    moe = layer(num_experts_per_tok=1, norm_topk_prob=False)
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[3] = 1.0
    x = torch.rand(9, H, dtype=torch.float64)
    out = moe(x)
    assert out.expert_counts.tolist() == [0, 0, 0, 9, 0]
    torch.testing.assert_close(out.hidden_states, reference(moe, x))
    out.hidden_states.sum().backward()
    busy = moe.experts.up_proj.grad.abs().sum((1, 2)) > 0
    assert busy.tolist() == [False, False, False, True, False]


def test_a_capacity_drops_the_last_tokens_of_an_expert_and_reports_them():
    moe = layer(num_experts_per_tok=1, norm_topk_prob=False, capacity_factor=1.0)
    with torch.no_grad():
        moe.router.weight.zero_()
        moe.router.weight[3] = 1.0
    x = torch.rand(10, H, dtype=torch.float64)
    out = moe(x)
    assert out.expert_counts.tolist() == [0, 0, 0, 2, 0]
    assert out.dropped_tokens == 8
    assert out.dropped_assignments == 8
    torch.testing.assert_close(out.hidden_states[:2], reference(moe, x[:2]))
    assert not out.hidden_states[2:].any()


def test_a_token_that_loses_one_of_two_experts_is_not_dropped():
    moe = layer(capacity_factor=0.9, bias=True)
    out = moe(torch.randn(64, H, dtype=torch.float64))
    assert out.dropped_assignments == 128 - out.expert_counts.sum()
    assert 0 < out.dropped_tokens < out.dropped_assignments


def test_a_wide_capacity_computes_what_no_capacity_does():
    free, wide = layer(), layer(capacity_factor=5.0)
    wide.load_state_dict(free.state_dict())
    x = torch.randn(20, H, dtype=torch.float64)
    torch.testing.assert_close(wide(x).hidden_states, free(x).hidden_states)


def test_a_capacity_never_drops_the_only_token():
    assert layer(capacity_factor=0.1)(torch.randn(1, H, dtype=torch.float64)).dropped_tokens == 0


def test_expert_choice_gives_each_expert_its_best_tokens():
    moe = layer(router="expert_choice", norm_topk_prob=False)
    x = torch.randn(10, H, dtype=torch.float64)
    out = moe(x)
    assert out.expert_counts.tolist() == [4] * 5
    scores = (x @ moe.router.weight.T).softmax(1)
    wanted = torch.zeros_like(x)
    for e in range(5):
        for t in scores[:, e].topk(4).indices.tolist():
            wanted[t] += scores[t, e] * feed_forward(moe.experts, e, x[t])
    torch.testing.assert_close(out.hidden_states, wanted)
    assert out.dropped_tokens == (wanted == 0).all(1).sum()


@pytest.mark.parametrize(("router", "capacity_factor"), [("top_k", None), ("bias", 0.8), ("expert_choice", None)])
def test_compilation_keeps_one_graph_and_the_values(router, capacity_factor):
    moe = MoE(H, 4, 5, 2, router=router, capacity_factor=capacity_factor, bias=True, shared_intermediate_size=3)
    x = torch.randn(12, H)
    model = copy.deepcopy(moe)

    @torch.compile(fullgraph=True, backend="aot_eager")
    def compiled(x):
        out = model(x)
        return out, out.router_loss

    (got, loss), wanted = compiled(x), moe(x)
    torch.testing.assert_close(loss, wanted.router_loss)
    torch.testing.assert_close(got.hidden_states, wanted.hidden_states)
    torch.testing.assert_close(got.routing.gates, wanted.routing.gates)
    assert all(torch.equal(a, b) for a, b in zip(got.routing.rows, wanted.routing.rows, strict=True))
    assert got.dropped_tokens == wanted.dropped_tokens
    got.hidden_states.sum().backward()
    wanted.hidden_states.sum().backward()
    for a, b in zip(model.parameters(), moe.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), moe.buffers(), strict=True))
    with pytest.raises(InputError, match="the input of a mixture of experts holds NaN"):
        compiled(x / 0)


def test_state_dict_round_trip_gives_the_same_output(tmp_path):
    first, second = layer(router="bias"), layer(router="bias")
    x = torch.randn(8, H, dtype=torch.float64)
    first(x)
    torch.save(first.state_dict(), tmp_path / "layer.pt")
    second.load_state_dict(torch.load(tmp_path / "layer.pt"))
    assert first.router.selection_bias.any()
    torch.testing.assert_close(second.eval()(x).hidden_states, first.eval()(x).hidden_states)
    shapes = {name: tuple(value.shape) for name, value in first.state_dict().items()}
    assert shapes["experts.up_proj"] == (5, 4, H)
    assert shapes["experts.down_proj"] == (5, H, 4)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m, x: x[3].fill_(float("nan")), "the input of a mixture of experts holds NaN"),
        (lambda m, x: m.router.weight[2, 1].fill_(float("inf")), "the router's weight holds NaN"),
        (lambda m, x: (m.router.weight.fill_(1e200), x.fill_(1e200)), "the router's logits overflow"),
    ],
)
def test_logits_that_are_not_finite_name_their_cause(spoil, message):
    moe, x = layer(), torch.rand(5, H, dtype=torch.float64)
    with torch.no_grad():
        spoil(moe, x)
    with pytest.raises(InputError, match=message):
        moe(x)


def test_large_finite_logits_whose_sum_overflows_are_accepted():
    moe = layer(router_z_loss_coef=0.0)
    with torch.no_grad():
        moe.router.weight.fill_(1e308 / H)
    assert moe(torch.ones(50, H, dtype=torch.float64)).hidden_states.isfinite().all()


@pytest.mark.parametrize("x", [torch.zeros(3, H), torch.zeros(3, H + 1, dtype=torch.float64), torch.zeros(())])
def test_another_dtype_or_width_is_refused(x):
    with pytest.raises(InputError, match="does not fit the mixture of experts"):
        layer()(x)


@pytest.mark.parametrize(
    "options",
    [
        {"num_experts_per_tok": 6},
        {"num_experts_per_tok": 0},
        {"router": "random"},
        {"scoring": "relu"},
        {"activation": "step"},
        {"capacity_factor": 0.0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused(options):
    with pytest.raises(InputError):
        layer(**options)


def test_one_expert_per_token_with_a_constant_gate_warns():
    with pytest.warns(UserWarning, match="never trains the router"):
        layer(num_experts_per_tok=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(num_experts_per_tok=1, norm_topk_prob=False)


def test_a_bfloat16_layer_computes_in_its_dtype_and_routes_in_float32():
    moe = MoE(H, 4, 5, 2, router="bias", dtype=torch.float32)
    moe.router.selection_bias += 1.00001
    moe = moe.to(torch.bfloat16)
    assert moe.router.selection_bias.dtype == torch.float32
    assert moe.router.selection_bias[0] == torch.tensor(1.00001)
    out = moe(torch.randn(4, H, dtype=torch.bfloat16))
    assert out.hidden_states.dtype == torch.bfloat16
    assert out.auxiliary_loss.dtype == torch.float32


@pytest.mark.parametrize("x_dtype", [torch.float32, torch.bfloat16])
def test_autocast_reaches_the_experts_and_not_the_router(x_dtype):
    moe = MoE(H, 4, 5, 2, bias=True, shared_intermediate_size=3)
    x = torch.randn(9, H).to(x_dtype)
    exact = moe(x.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = moe(x)
    assert out.hidden_states.dtype == torch.bfloat16
    assert torch.equal(out.routing.logits, exact.routing.logits)
    torch.testing.assert_close(out.hidden_states.float(), exact.hidden_states, atol=0.02, rtol=0.02)
    out.hidden_states.sum().backward()
    assert moe.experts.up_proj.grad.dtype == torch.float32


def test_the_drop_in_returns_a_tensor_and_its_losses_are_collected_once():
    model = nn.Sequential(nn.Linear(3, H), MoE(H, 4, 5, 2).as_feed_forward(), MoE(H, 4, 5, 2).as_feed_forward())
    x = torch.randn(7, 3)
    y = model(x)
    kept = [m.last_output.router_loss for m in model if isinstance(m, MoEFeedForward)]
    copy.deepcopy(model)
    total = collect_losses(model)
    assert total == sum(kept)
    (y.sum() + total).backward()
    assert all(p.grad is not None for p in model.parameters())
    with pytest.raises(InputError, match="no router losses"):
        collect_losses(model)


def test_the_drop_in_compiles_to_one_graph_and_still_keeps_its_losses():
    model = MoE(H, 4, 5, 2).as_feed_forward()
    x = torch.randn(7, H)
    wanted = model.moe(x)
    torch.testing.assert_close(torch.compile(model, fullgraph=True, backend="aot_eager")(x), wanted.hidden_states)
    torch.testing.assert_close(collect_losses(model), wanted.router_loss)


def test_activation_checkpointing_changes_no_gradient():
    model = layer().as_feed_forward()
    x = torch.randn(7, H, dtype=torch.float64, requires_grad=True)
    gradients = []
    for run in (model, lambda x: checkpoint(model, x, use_reentrant=False)):
        loss = run(x).sum() + collect_losses(model)
        gradients.append(torch.autograd.grad(loss, [x, *model.parameters()]))
    torch.testing.assert_close(*gradients)


def test_a_whole_model_that_has_run_can_be_pickled(tmp_path):
    model = layer().as_feed_forward()
    x = torch.randn(7, H, dtype=torch.float64)
    y = model(x)
    torch.save(model, tmp_path / "model.pt")
    assert torch.equal(torch.load(tmp_path / "model.pt", weights_only=False)(x), y)


@pytest.mark.parametrize(("gated", "shared"), [(False, 0), (True, 24)])
def test_active_operations_are_those_of_router_chosen_experts_and_shared_one(gated, shared):
    layer = MoE(16, 8, 4, 2, gated=gated, shared_intermediate_size=shared)
    one_expert = 2 * 16 * 8 * (3 if gated else 2)
    expected = 2 * 16 * 4 + 2 * one_expert + 2 * 16 * shared * 3
    assert layer.active_operations(10) == 10 * expected
