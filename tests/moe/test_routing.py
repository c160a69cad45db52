"""Losses of known values, the bias that evens out a skewed load, and the form of a routing."""

import math

import pytest
import torch

from assay.moe import MoE, load_balancing_loss, router_z_loss
from assay.moe.routers import BiasRouter, ExpertChoiceRouter, TopKRouter
from assay.moe.routing import expert_capacity


def test_the_load_balancing_loss_is_one_at_balance_and_the_experts_at_collapse():
    even = torch.full((8, 4), 0.25)
    assert load_balancing_loss(even, torch.tensor([4, 4, 4, 4])) == 1
    collapsed = torch.tensor([[1.0, 0, 0, 0]]).repeat(8, 1)
    assert load_balancing_loss(collapsed, torch.tensor([8, 0, 0, 0])) == 4
    halves = torch.tensor([[0.5, 0.5, 0, 0]]).repeat(8, 1)
    assert load_balancing_loss(halves, torch.tensor([6, 2, 0, 0])) == pytest.approx(4 * (0.75 * 0.5 + 0.25 * 0.5))


def test_the_z_loss_is_the_squared_log_sum_exp():
    assert router_z_loss(torch.zeros(3, 8)).item() == pytest.approx(math.log(8) ** 2)
    assert router_z_loss(torch.tensor([[2.0, 2.0]])).item() == pytest.approx((2 + math.log(2)) ** 2)


def test_the_losses_gradient_lowers_the_probability_of_the_busy_expert():
    logits = torch.zeros(6, 3, requires_grad=True)
    load_balancing_loss(logits.softmax(1), torch.tensor([6, 0, 0])).backward()
    assert (logits.grad[:, 0] > 0).all()
    assert (logits.grad[:, 1:] < 0).all()


def skewed(rate):
    """A router whose first expert is everybody's favourite, and tokens for it."""
    router = BiasRouter(16, 8, 2, scoring="sigmoid", bias_update_rate=rate)
    torch.nn.init.normal_(router.weight, std=0.3)
    x = torch.randn(512, 16)
    x[:, 0] = 3.0
    with torch.no_grad():
        router.weight[:, 0] = torch.linspace(0.5, -0.5, 8)
    return router, x


def test_the_bias_drives_a_skewed_load_to_balance_without_touching_weights():
    router, x = skewed(rate=0.003)
    weight = router.weight.detach().clone()
    before = router(x).expert_load.max().item()
    for _ in range(300):
        router(x)
    after = router(x).expert_load
    assert before > 3 * 128
    assert after.max() < 1.15 * 128
    assert after.min() > 0.85 * 128
    assert torch.equal(router.weight, weight)


def test_the_bias_changes_the_choice_and_not_the_gates():
    router, x = skewed(rate=0.0)
    router.norm_topk_prob = False
    router.selection_bias[7] = 100.0
    routing = router(x)
    scores = (x @ router.weight.T).sigmoid()
    assert routing.expert_counts[7] == 512
    rows = routing.rows
    torch.testing.assert_close(routing.gates, scores[rows.token_of_row, rows.expert_of_row])


def test_the_bias_stays_in_evaluation_and_at_rate_zero():
    router, x = skewed(rate=0.003)
    router.eval()(x)
    assert not router.selection_bias.any()
    router.train()
    router.bias_update_rate = 0.0
    router(x)
    assert not router.selection_bias.any()
    router.update_bias(torch.tensor([10, 0, 0, 0, 0, 0, 0, 0]), 0.5)
    assert router.selection_bias.tolist() == [-0.5, *[0.5] * 7]


def test_rows_are_sorted_by_expert_and_then_by_token():
    routing = TopKRouter(4, 3, 2)(torch.randn(11, 4))
    keys = routing.rows.expert_of_row * 11 + routing.rows.token_of_row
    assert (keys.diff() > 0).all()
    assert routing.expert_counts.tolist() == torch.bincount(routing.rows.expert_of_row, minlength=3).tolist()


def test_sigmoid_scores_give_probabilities_that_sum_to_one():
    routing = TopKRouter(4, 3, 2, scoring="sigmoid")(torch.randn(11, 4))
    torch.testing.assert_close(routing.probabilities.sum(1), torch.ones(11))


def test_capacity_is_the_balanced_share_rounded_up():
    assert expert_capacity(10, 5, 1, 1.0) == 2
    assert expert_capacity(11, 5, 1, 1.0) == 3
    assert expert_capacity(1, 16, 2, 1.25) == 1
    assert expert_capacity(4, 2, 2, 9.0) == 4
    assert expert_capacity(0, 2, 2, 1.0) == 0


def test_the_router_loss_is_the_weighted_sum_and_needs_no_balance_loss_with_a_bias():
    x = torch.randn(9, 6)
    out = MoE(6, 4, 5, 2, router_aux_loss_coef=0.5, router_z_loss_coef=0.25)(x)
    torch.testing.assert_close(out.router_loss, 0.5 * out.auxiliary_loss + 0.25 * out.z_loss)
    assert MoE(6, 4, 5, 2).router_aux_loss_coef == 0.01
    assert MoE(6, 4, 5, 2, router="bias").router_aux_loss_coef == 0


@pytest.mark.parametrize("router", [TopKRouter, ExpertChoiceRouter])
def test_scores_that_all_underflow_give_gates_of_zero_and_not_nan(router):
    made = router(2, 3, 2, scoring="sigmoid")
    with torch.no_grad():
        made.weight.fill_(-200.0)
    routing = made(torch.ones(4, 2))
    assert torch.equal(routing.gates, torch.zeros_like(routing.gates))
    assert routing.probabilities.isfinite().all()
