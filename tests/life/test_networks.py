"""Networks one by one and many at once, and what they are trained on."""

import numpy as np
import pytest
import torch

from assay.errors import InputError
from benchmarks.life import networks, rules
from benchmarks.life.instances import Instances
from benchmarks.life.network import LifeNetwork, convolutions, parameter_count, with_parameters
from benchmarks.life.tasks import Counterexamples, OneStep, losses, random_board, shares
from tests.life.exact_networks import exact


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_minimal_network_of_n_steps_has_2n_plus_1_layers_and_23n_plus_2_parameters(n):
    network = LifeNetwork(n, 1)
    assert len(convolutions(network)) == 2 * n + 1
    assert sum(each.numel() for each in network.parameters()) == 23 * n + 2


def test_counts_of_wide_networks_are_those_of_the_modules():
    for n, m in ((1, 16), (2, 12), (3, 5)):
        assert parameter_count(n, m) == sum(each.numel() for each in LifeNetwork(n, m).parameters())
    assert parameter_count(1, 16) == 865


def test_a_network_of_no_steps_is_refused():
    with pytest.raises(InputError, match="at least one step"):
        LifeNetwork(0, 3)


def test_instances_compute_what_their_modules_compute_whoever_stands_beside_them():
    board = torch.from_numpy(random_board(np.random.default_rng(0), 14, 17)).float()
    many = Instances(2, 3, [5, 6, 7])
    alone = Instances(2, 3, [6])
    found = many.logits(board)
    assert torch.equal(many.weights[2][1], alone.weights[2][0])
    for place in range(3):
        expected = many.network(place).logits(board[None, None]).flatten()
        torch.testing.assert_close(found[place], expected)


def test_a_batch_of_boards_and_512_weighted_patches_have_the_same_loss_and_gradient():
    board = random_board(np.random.default_rng(1), 40, 50)
    gradients = []
    for by_patches in (True, False):
        instances = Instances(1, 4, [0, 1])
        instances.require_gradients()
        if by_patches:
            loss = losses(OneStep.logits(instances), torch.from_numpy(rules.TRUTH).float()) @ shares(board)
        else:
            truth = torch.from_numpy(rules.step(board).reshape(-1)).float()
            loss = losses(instances.logits(torch.from_numpy(board).float()), truth).mean(1)
        loss.sum().backward()
        gradients.append([loss.detach(), *(each.grad for each in instances.parameters)])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_patches_that_a_network_was_wrong_on_stand_on_the_boards_to_come():
    task, instances = Counterexamples(0, side=32), Instances(2, 1, [0])
    assert not task.holds(instances).any()
    board = task.board()
    planted = {tuple(patch.reshape(-1)) for patch in rules.patches(task._wrong, 5)}
    places = [board[r : r + 5, c : c + 5] for r in range(0, 31, 5) for c in range(0, 31, 5)]
    assert sum(tuple(place.reshape(-1)) in planted for place in places) >= 24  # half of 49


def test_a_kept_network_comes_back_the_same_and_an_unknown_name_lists_the_known(tmp_path):
    network = exact(2, m=3)
    networks.keep("found", network, tmp_path)
    again = networks.load("found", tmp_path)
    assert (again.n, again.m) == (2, 3)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), again.parameters(), strict=True))
    with pytest.raises(InputError, match="found"):
        networks.load("lost", tmp_path)


def test_every_network_in_the_repository_loads():
    assert all(networks.load(name).n in (1, 2, 3) for name in networks.names())


def test_parameters_written_down_are_those_that_a_network_has():
    values = [
        np.full((4, 1, 3, 3), 0.5),
        np.arange(4.0),
        np.ones((2, 4, 1, 1)),
        np.zeros(2),
        np.ones((1, 2, 1, 1)),
        np.ones(1),
    ]
    network = with_parameters(1, 2, values)
    assert network.logits(torch.zeros(1, 1, 3, 3)).item() == 1 + 2 * (0 + 1 + 2 + 3)
