"""Enumeration, rounding and composition: right networks are proved, planted errors are found."""

import numpy as np
import pytest
import torch

from assay.errors import InputError
from benchmarks.life import bands, rules
from benchmarks.life.enumeration import enumerate_patches
from benchmarks.life.folding import fold, left
from benchmarks.life.network import LifeNetwork, convolutions, parameters, with_parameters
from benchmarks.life.rounding import rounding_bound
from tests.life.exact_networks import exact, wrong_on_one

EVERYTHING = (1 << 25) - 1


def slow_logits(network, patches):
    """NumPy, float64, one patch after the other in the order of the definition."""
    values, out = parameters(network), []
    for patch in patches:
        x = patch[None].astype(float)
        for number in range(network.n):
            conv, conv_bias, mix, mix_bias = values[4 * number : 4 * number + 4]
            seen = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
            hidden = np.maximum(np.einsum("hcij,cyxij->hyx", conv, seen) + conv_bias[:, None, None], 0)
            x = np.maximum(np.einsum("kh,hyx->kyx", mix[:, :, 0, 0], hidden) + mix_bias[:, None, None], 0)
        out.append(float(values[-2][0, :, 0, 0] @ x[:, 0, 0] + values[-1][0]))
    return np.array(out)


def random_network(n, m, seed):
    torch.manual_seed(seed)
    return LifeNetwork(n, m)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (2, 1), (2, 3)])
def test_enumerating_agrees_with_slow_numpy_on_a_sample(n, m):
    network = random_network(n, m, n + m)
    found = enumerate_patches(network, examples=300)
    numbers = np.arange(512) if n == 1 else np.random.default_rng(0).integers(0, EVERYTHING, 2000)
    patches = rules.patches(numbers, 2 * n + 1)
    signed = slow_logits(network, patches) * (2.0 * rules.steps(patches, n).reshape(-1) - 1)
    assert abs((signed <= 0).mean() - found.wrong / found.patches) < (1e-9 if n == 1 else 0.05)
    assert found.margin <= signed.min() + 1e-12
    examples = rules.patches(found.examples, 2 * n + 1)
    assert len(examples) == min(300, found.wrong)
    wrong = slow_logits(network, examples) * (2.0 * rules.steps(examples, n).reshape(-1) - 1)
    assert (wrong <= 0).all()


def test_portable_code_one_thread_and_several_find_the_same():
    network = random_network(2, 2, 0)
    found = [enumerate_patches(network, 50, threads) for threads in (1, 2, 3)]
    found.append(enumerate_patches(network, 50, portable=True))
    assert len({each.wrong for each in found}) == 1
    assert all(np.array_equal(each.examples, found[0].examples) for each in found)
    assert all(each.margin == pytest.approx(found[0].margin, abs=1e-12) for each in found)


@pytest.mark.parametrize("n", [1, 2])
def test_a_network_written_down_is_right_everywhere_with_the_margin_that_it_was_given(n):
    found = enumerate_patches(exact(n))
    assert (found.wrong, found.margin, found.exact) == (0, 1.0, True)
    assert len(found.examples) == 0


@pytest.mark.parametrize("patch", [0, EVERYTHING])
def test_a_network_that_is_wrong_on_one_patch_of_33_million_is_caught_with_that_patch(patch):
    found = enumerate_patches(wrong_on_one(patch))
    assert found.wrong == 1
    assert found.examples.tolist() == [patch]
    assert found.margin == -9.0


@pytest.mark.parametrize("layer", range(5))
def test_a_flipped_weight_of_a_right_network_is_found(layer):
    network = exact(2)
    with torch.no_grad():
        convolutions(network)[layer].weight.view(-1)[0] *= -1
    assert enumerate_patches(network).wrong > 0
    assert not bands.prove(network).holds


def test_a_logit_of_exactly_0_is_wrong():
    values = parameters(exact(1))
    values[-2][:], values[-1][:] = 1.0, 0.0
    assert enumerate_patches(with_parameters(1, 1, values)).wrong == 512 - 140


def test_what_cannot_be_enumerated_is_refused():
    with pytest.raises(InputError, match="cannot be enumerated"):
        enumerate_patches(exact(3))
    broken = exact(1)
    with torch.no_grad():
        convolutions(broken)[1].bias[0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        enumerate_patches(broken)


@pytest.mark.parametrize("seed", range(5))
def test_float32_differs_from_float64_by_less_than_the_bound_of_rounding_and_not_by_far_less(seed):
    network = random_network(1, 8, seed)
    patches = torch.from_numpy(rules.all_patches()[:, None]).double()
    narrow = network.logits(patches.float()).detach().double().flatten()
    wide = network.double().logits(patches).detach().flatten()
    bound = rounding_bound(network, "float32")
    assert 1e-3 * bound < (narrow - wide).abs().max().item() < bound
    assert rounding_bound(network, "float64") < 1e-8 * bound


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_a_right_network_of_any_number_of_steps_is_proved_by_composition(n):
    found = bands.prove(exact(n, m=2))
    assert found.holds
    assert found.margin == pytest.approx(1.0, abs=1e-6)
    assert max(found.spreads, default=0.0) < 1e-6


def test_intervals_hold_for_every_value_within_the_boxes():
    values = [each + np.random.default_rng(3).normal(0, 0.001, each.shape) for each in parameters(exact(2))]
    network = with_parameters(2, 1, values)
    found = bands.prove(network)
    patches = np.random.default_rng(4).integers(0, 2, (400, 5, 5)).astype(np.uint8)
    signed = slow_logits(network, patches) * (2.0 * rules.steps(patches, 2).reshape(-1) - 1)
    assert found.holds
    assert max(found.spreads) > 0.001
    assert found.margin <= signed.min()


def test_a_network_whose_channels_tell_nothing_is_not_proved():
    assert not bands.prove(random_network(2, 3, 0)).holds
    assert not bands.prove(wrong_on_one(0)).holds


def test_folding_removes_constant_and_unread_channels_and_nothing_else():
    values = parameters(exact(2, m=3))
    values[1][2], values[2][0, 2] = 0.25, 4.0  # hidden channel 2 is always 0.25 and adds 1 to channel 0
    values[3][0] -= 1.0
    values[0][3], values[2][1, 3] = 1.0, 1.0  # channel 1 of step 1 is read by nothing
    network = with_parameters(2, 3, values)
    folded, counts = fold(network), left(network)
    patches = rules.patches(np.random.default_rng(0).integers(0, EVERYTHING, 300), 5)
    assert np.allclose(slow_logits(network, patches), slow_logits(folded, patches), atol=1e-6)
    assert counts.channels == (2, 1, 2, 1)
    assert counts.multiply_adds == 18 + 2 + 18 + 2 + 1
    assert counts.biases == 2 + 1 + 2 + 1 + 1
    assert counts.nonzeros == sum(int(np.count_nonzero(each)) for each in values)
